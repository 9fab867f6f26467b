import pytest

from tests.conformance.cases import CASES, FLOWS, Case, check


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_log_dets_are_those_of_the_jacobian(case: Case):
    check(case, "forward_log_det", "inverse_log_det")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_pass_gives_what_two_calls_give(case: Case):
    check(case, "one_pass")


@pytest.mark.parametrize("case", FLOWS, ids=lambda case: case.name)
def test_log_prob_is_that_of_the_base_plus_the_log_det(case: Case):
    check(case, "log_prob")
