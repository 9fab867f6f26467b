"""The verifier finds each guarantee of `check_bijector` and `check_flow` kept, or skipped for a known reason."""

import pytest

from tests.conformance.cases import CASES, RECIPES, Case, built, data, each, is_the_fullest
from tfp_nvp._module import tf_variables
from tfp_nvp.distributions import Flow
from tfp_nvp.testing import check_bijector, check_flow

LOG_DETS = {"forward_log_det", "inverse_log_det"}

#: tests/serving exports every recipe, and compares what the files compute.
SAVED = {"saved_model"}
#: XLA compiles a recipe as long as all else takes together.
COMPILED = {"xla", "xla_samples"}


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


def elsewhere(case: Case) -> set[str]:
    """Guarantees of a recipe that another test holds it to."""
    if case not in RECIPES:
        return set()
    return SAVED | COMPILED


@pytest.mark.parametrize("case", each(CASES, recipes=True, conditional=True))
def test_every_guarantee_is_kept(case: Case):
    verify = check_flow if hasattr(built(case), "log_prob") else check_bijector
    skip = elsewhere(case) | (LOG_DETS if case.is_surface else set())
    report = verify(built(case), *data(case), skip=skip)
    assert {check.name for check in report if check.status == "skipped"} == not_applicable(case) | elsewhere(case)


@pytest.mark.parametrize("case", each([case for case in RECIPES if is_the_fullest(case)]))
def test_a_recipe_compiled_by_xla_is_that_of_eager_execution(case: Case):
    report = check_flow(built(case), *data(case), only=COMPILED)
    assert {check.status for check in report} == {"passed"}
