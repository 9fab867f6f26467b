import pytest

from tests.conformance.cases import CASES, Case, check


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_batch_shape_gives_the_results_of_its_rows(case: Case):
    check(case, "batch_shapes")
