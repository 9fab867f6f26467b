import pytest

from tests.conformance.cases import CASES, Case, check


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_saved_model_computes_the_same(case: Case):
    check(case, "saved_model")
