import pytest

from tests.conformance.cases import CASES, Case, built, check
from tfp_nvp._module import tf_variables


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_variable_is_tracked(case: Case):
    check(case, "variables_tracked")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_finite_gradient_reaches_every_trainable_variable(case: Case):
    status = check(case, "gradients")["gradients"].status
    assert status == ("passed" if built(case).trainable_variables else "skipped")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_results_are_those_of_the_current_weights(case: Case):
    status = check(case, "no_stale_results")["no_stale_results"].status
    weights = [v for v in tf_variables(built(case)) if v.dtype.is_floating]
    assert status == ("passed" if weights else "skipped")
