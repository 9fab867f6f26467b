import pytest

from tests.conformance.cases import FLOWS, Case, check


@pytest.mark.parametrize("case", FLOWS, ids=lambda case: case.name)
def test_samples_have_tfps_shapes(case: Case):
    check(case, "sample_shapes")


@pytest.mark.parametrize("case", FLOWS, ids=lambda case: case.name)
def test_samples_come_with_their_log_prob(case: Case):
    check(case, "sample_log_prob")


@pytest.mark.parametrize("case", FLOWS, ids=lambda case: case.name)
def test_equal_seeds_give_equal_samples(case: Case):
    check(case, "equal_seeds")
