import pytest

from tests.conformance.cases import CASES, Case, check


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_direction_undoes_the_other_without_a_cache(case: Case):
    check(case, "inverse_of_forward", "forward_of_inverse")
