"""The verifier finds each guarantee of `check_bijector` and `check_flow` kept, or skipped for a known reason."""

import pytest

from tests.conformance.cases import CASES, Case, built, data
from tfp_nvp._module import tf_variables
from tfp_nvp.distributions import Flow
from tfp_nvp.testing import check_bijector, check_flow

LOG_DETS = {"forward_log_det", "inverse_log_det"}


def not_applicable(case: Case) -> set[str]:
    """Guarantees that a case can't be held to."""
    module = built(case)
    names = set()
    bijector = module.bijector if isinstance(module, Flow) else module
    if case.is_surface or not getattr(bijector, "has_exact_log_det", True):
        names |= LOG_DETS
    if not module.trainable_variables:
        names.add("gradients")
    if not any(variable.dtype.is_floating for variable in tf_variables(module)):
        names.add("no_stale_results")
    if module.parameters.get("base") is not None or "dtype" not in module.parameters:
        names.add("float64")  # a base that was given is of its own dtype
    return names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_guarantee_is_kept(case: Case):
    verify = check_flow if hasattr(built(case), "log_prob") else check_bijector
    report = verify(built(case), *data(case), skip=LOG_DETS if case.is_surface else ())
    assert {check.name for check in report if check.status == "skipped"} == not_applicable(case)
