"""scikit-learn's own checks of estimators, and the reasons of those that fail."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sklearn.utils import estimator_checks

from tests.sklearn.tiny import tiny
from tfp_nvp.sklearn import FlowConditional, FlowDensity, FlowOutlier

ESTIMATORS = [
    FlowDensity(flow=tiny, epochs=1),
    FlowConditional(flow=tiny, epochs=1, num_samples=50),
    FlowOutlier(flow=tiny, steps=1, false_positive_rate=0.2),
]
FEW_ROWS = "it fits fewer than 20 rows, of which too few could be held out to stop by"
#: Checks of all estimators that fit fewer than 20 rows.
OF_FEW_ROWS = {
    "check_fit2d_1feature",
    "check_estimators_nan_inf",
    "check_n_features_in_after_fitting",
}
#: Check -> the reason why it fails.
EXPECTED: dict[str, dict[str, str]] = {
    "FlowDensity": {},
    "FlowConditional": {},
    "FlowOutlier": {},
}


def generated(estimator: Any) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """An estimator's checks, of whatever version of scikit-learn."""
    if hasattr(estimator_checks, "estimator_checks_generator"):
        return estimator_checks.estimator_checks_generator(estimator)
    return estimator_checks.check_estimator(estimator, generate_only=True)  # before 1.6


def cases() -> Iterator[Any]:
    for estimator in ESTIMATORS:
        name = type(estimator).__name__
        for checked, check in generated(estimator):
            reason = EXPECTED[name].get(check.func.__name__)
            options = "-".join(f"{key}={value}" for key, value in check.keywords.items())
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason, strict=True)]
            yield pytest.param(checked, check, marks=marks, id=f"{name}-{check.func.__name__}-{options}".rstrip("-"))


@pytest.mark.filterwarnings("ignore:Column:UserWarning")
@pytest.mark.parametrize(("estimator", "check"), cases())
def test_scikit_learn_finds_no_fault(estimator: Any, check: Callable[[Any], None]):
    check(estimator)
