import pytest

from tests.conformance.cases import CASES, FLOWS, Case, check


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_graphs_and_xla_agree_with_eager(case: Case):
    check(case, "graph", "xla")


@pytest.mark.parametrize("case", FLOWS, ids=lambda case: case.name)
def test_samples_of_xla_have_the_density_that_eager_gives_them(case: Case):
    check(case, "xla_samples")
