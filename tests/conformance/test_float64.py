"""In float64 the maps and log-dets are exact but for its own rounding; results have the dtype of the data."""

import pytest

from tests.conformance.cases import BIJECTORS, CASES, DISTRIBUTIONS, Case, built, data, each, results
from tfp_nvp.testing import check_bijector, check_flow

ROUND_TRIPS = ("inverse_of_forward", "forward_of_inverse")
LOG_DETS = ("forward_log_det", "inverse_log_det")


# Recipes are chains of these cases, and the verifier compares theirs in float32 with their twins in float64.
@pytest.mark.parametrize("case", each(BIJECTORS + DISTRIBUTIONS))
def test_float64_is_exact_but_for_its_own_rounding(case: Case):
    module = built(case, "float64")
    verify = check_flow if hasattr(module, "log_prob") else check_bijector
    verify(module, *data(case, "float64"), only=ROUND_TRIPS if case.is_surface else ROUND_TRIPS + LOG_DETS)


@pytest.mark.parametrize("case", each(CASES))
def test_results_are_of_the_dtype_of_the_data(case: Case):
    assert {value.dtype.name for value in results(case, built(case))} == {"float32"}
