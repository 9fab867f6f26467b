"""scikit-learn's own checks of estimators, and the reasons of those that fail."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest
from sklearn.utils import estimator_checks

from tests.sklearn.tiny import tiny
from tfp_nvp.sklearn import FlowConditional, FlowDensity, FlowOutlier

ESTIMATORS = [
    FlowDensity(flow=tiny, epochs=1),
    FlowConditional(flow=tiny, epochs=1, num_samples=50),
    FlowOutlier(flow=tiny, steps=1, false_positive_rate=0.2, calibration_split=0.5),
]
#: Checks that fit 6 to 16 rows; below 20 rows too few could be held out to stop by, and a fit is refused.
OF_FEW_ROWS = {
    "check_classifier_data_not_an_array",
    "check_estimators_nan_inf",
    "check_fit2d_1feature",
    "check_n_features_in_after_fitting",
    "check_sample_weights_not_an_array",
    "check_sample_weights_not_overwritten",
    "check_sample_weights_pandas_series",
    "check_sample_weights_shape",
}
#: Check -> the reason why it fails.
EXPECTED = dict.fromkeys(OF_FEW_ROWS, "fewer than 20 rows are refused") | {
    "check_regressor_multioutput": "11 rows, and targets without noise, of which there is no density",
    "check_regressors_no_decision_function": "10 rows, and a target that is a column of X",
    "check_sample_weight_equivalence_on_dense_data": "15 rows of 30 columns; and which rows are held out is random, so "
    "that a weight is no number of equal rows",
    "check_sample_weights_invariance": "the same, before scikit-learn 1.6",
}


def generated(estimator: Any) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """An estimator's checks, of whatever version of scikit-learn."""
    if hasattr(estimator_checks, "estimator_checks_generator"):
        return estimator_checks.estimator_checks_generator(estimator)
    return estimator_checks.check_estimator(estimator, generate_only=True)  # before 1.6


def cases(only: Collection[str] | None = None) -> list[Any]:
    """The checks of all estimators with the marks of those that are expected to fail; or some checks, without.

    A check that the first estimator passes is exhaustive for the others, whose tables come in by the same door.
    """
    found, seen = [], set()
    for estimator in ESTIMATORS:
        for checked, check in generated(estimator):
            name = check.func.__name__
            if only is not None and name not in only:
                continue
            marks = []
            if only is None and name in EXPECTED:
                marks.append(pytest.mark.xfail(reason=EXPECTED[name], strict=True))
            options = "-".join(f"{key}={value}" for key, value in check.keywords.items())
            if check.keywords.get("readonly_memmap") or (estimator is not ESTIMATORS[0] and (name, options) in seen):
                marks.append(pytest.mark.exhaustive)
            seen.add((name, options))
            identity = f"{type(estimator).__name__}-{name}-{options}".rstrip("-")
            found.append(pytest.param(checked, check, marks=marks, id=identity))
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("estimator", "check"), cases())
def test_scikit_learn_finds_no_fault(estimator: Any, check: Callable[[Any], None]):
    check(estimator)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("estimator", "check"), cases(only=OF_FEW_ROWS))
def test_nor_does_it_where_fewer_rows_are_allowed(estimator: Any, check: Callable[[Any], None], monkeypatch):
    monkeypatch.setattr("tfp_nvp.training._tables.split.MIN_ROWS", 6)
    monkeypatch.setattr("tfp_nvp.training._anomalies.anomaly_detector.MIN_ROWS", 6)
    check(estimator)
