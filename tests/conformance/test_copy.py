import inspect

import numpy as np
import pytest

from tests.conformance.cases import CASES, Case, built, each, results

each_case = pytest.mark.parametrize("case", each(CASES))


def weights(module) -> set[int]:
    return {id(variable) for variable in module.variables}


@each_case
def test_a_copy_shares_all_weights(case: Case):
    copy = built(case).copy()
    assert copy is not built(case)
    assert type(copy) is type(built(case))
    assert weights(copy) == weights(built(case))
    for value, right in zip(results(case, copy), results(case, built(case)), strict=True):
        np.testing.assert_array_equal(value, right)


@each_case
def test_a_copy_with_changes_shares_all_weights_or_raises(case: Case):
    try:
        copy, refusal = built(case).copy(name="another"), None
    except ValueError as error:
        copy, refusal = None, str(error)
    if refusal is None:
        assert copy.name == "another"
        assert weights(copy) == weights(built(case))
    else:
        assert "can't share its weights" in refusal


@each_case
def test_a_copy_refuses_an_unknown_argument(case: Case):
    with pytest.raises(ValueError, match="no argument"):
        built(case).copy(no_such_argument=1)


@each_case
def test_equality_is_identity(case: Case):
    one, other = built(case), case.make("float32")
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


@each_case
def test_parameters_are_the_constructors_arguments(case: Case):
    arguments = set(inspect.signature(type(built(case)).__init__).parameters) - {"self", "parameters"}
    assert set(built(case).parameters) == arguments


@each_case
def test_parameters_build_another_with_as_many_weights(case: Case):
    another = type(built(case))(**built(case).parameters)
    assert [v.shape for v in another.variables] == [v.shape for v in built(case).variables]
