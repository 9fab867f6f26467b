"""An outlier detector of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfp_nvp.sklearn._estimator import FlowEstimator, OutlierMixin, check_is_fitted, seed_of
from tfp_nvp.training import AnomalyDetector


class FlowOutlier(OutlierMixin, FlowEstimator):
    """Finds rows that are unlikely under a flow fitted to others: `AnomalyDetector` as an estimator of scikit-learn.

        score_samples(x) = log p(x),    decision_function(x) = log p(x) − offset_,    in nats
        predict(x) = 1 if decision_function(x) ≥ 0, else −1, an outlier

    The offset is set on rows held out of the table, for a false-positive rate among new rows like those (split
    conformal prediction). That is not scikit-learn's `contamination`, the share of the rows of `fit` themselves that
    are called outliers.

    Args:
      false_positive_rate: in (0, 1); None for 0.01, or, with a warning, the least that fewer than 99 held-out rows
        permit.
      calibration_split: share of the rows held out for the offset, in (0, 1).
      noise: width of the kernel that smooths the rows, in deviations of a column; None for min(2, √d / 2).
      flow: a recipe, called as `flow(event_shape=[d], seed=seed)`; None for a neural spline flow of 4 couplings.
      steps: of training, with batches of 512 rows.
      verbose: 0 for silence, 1 for a progress bar.
      random_state: an int, the `seed` of `AnomalyDetector`; a `RandomState`; or None.

    Attributes:
      detector_: the fitted `AnomalyDetector`, which `tfp_nvp.export` takes.
      offset_: minus the detector's threshold, in nats.
      n_features_in_: d.
      feature_names_in_: names of the columns, [d], if `fit` got a table with names.

    >>> from tfp_nvp import RealNVP
    >>> rows = np.random.default_rng(0).normal(size=(200, 2))
    >>> detector = FlowOutlier(false_positive_rate=0.05, flow=RealNVP, steps=1, random_state=0).fit(rows)
    >>> detector.predict([[0.0, 0.0], [50.0, -50.0]])
    array([ 1, -1])
    """

    def __init__(
        self,
        *,
        false_positive_rate: float | None = None,
        calibration_split: float = 0.2,
        noise: float | None = None,
        flow: Callable[..., Any] | None = None,
        steps: int = 1000,
        verbose: int = 0,
        random_state: Any = None,
    ):
        self.false_positive_rate = false_positive_rate
        self.calibration_split = calibration_split
        self.noise = noise
        self.flow = flow
        self.steps = steps
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> FlowOutlier:
        """Fits a flow to most of the rows X [n, d], n at least 20, and sets the offset on the others; `y` is ignored.

        Raises:
          ValueError, TypeError: for data that can't be fitted, as `AnomalyDetector.fit` refuses them.
        """
        X = self._named(self._checked(X, ensure_min_samples=2))
        self.detector_ = AnomalyDetector(seed=seed_of(self.random_state)).fit(
            X,
            false_positive_rate=self.false_positive_rate,
            calibration_split=self.calibration_split,
            noise=self.noise,
            flow=self.flow,
            steps=self.steps,
            verbose=self.verbose,
        )
        self.offset_ = -self.detector_.threshold
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) of rows [n, d] in nats, [n]: smaller for less likely ones."""
        check_is_fitted(self, "detector_")
        return -self.detector_.score(self._checked(X, reset=False)).astype(np.float64)

    def decision_function(self, X: Any) -> np.ndarray:
        """How far log p(x) of rows [n, d] is above the offset, in nats, [n]: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """1 for each row of [n, d] that is none, −1 for an outlier: integers [n]."""
        return np.where(self.decision_function(X) >= 0.0, 1, -1)
