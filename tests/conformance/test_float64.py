import pytest

from tests.conformance.cases import CASES, Case, built, check, results

EXACT = ("inverse_of_forward", "forward_of_inverse", "forward_log_det", "inverse_log_det")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_float64_is_exact_to_eight_digits(case: Case):
    check(case, *EXACT, dtype="float64", tolerance=1e-8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_float32_agrees_with_float64(case: Case):
    status = check(case, "float64")["float64"].status
    parameters = built(case).parameters
    # A base that was given is of its own dtype.
    can_be_built_again = "dtype" in parameters and parameters.get("base") is None
    assert status == ("passed" if can_be_built_again else "skipped")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_are_of_the_dtype_of_the_data(case: Case):
    assert {value.dtype.name for value in results(case, built(case))} == {"float32"}
