"""A density estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfp_nvp import checks
from tfp_nvp.sklearn._estimator import DensityMixin, check_is_fitted, seed_of
from tfp_nvp.sklearn._table_estimator import TableEstimator
from tfp_nvp.training import Plan


class FlowDensity(DensityMixin, TableEstimator):
    """A normalizing flow of a table's density p(x) as an estimator of scikit-learn: `tfp_nvp.fit` with its interface.

    It stands where `KernelDensity` or `GaussianMixture` do: in a `Pipeline`, in `GridSearchCV`, whose score is the mean
    log-likelihood of the rows left out, in `clone` and in pickles. The fitted model is `model_`, with all its methods.

    Args:
      flow: a flow, of which a copy is fitted, or a recipe, called as `flow(event_shape=[d], condition_shape=None,
        seed=seed)`; None for a neural spline flow sized to the data.
      support: (low, high) bounds of the columns, or a dict of pairs by column name or number.
      periodic: (low, high) whose ends are one point: a pair, a list, or a dict by column name or number.
      tails: "asinh" or "pareto", of heavy-tailed columns.
      stack, members: whether to fit a mixture of flows, one for each of so many folds, and of simpler densities: better
        for few rows.
      validation_split: fraction of rows held out, which decide when to stop; None for 0.2 below 5,000 rows, else 0.1.
      epochs, batch_size, learning_rate, plan: of the training; None for what suits the size of the table.
      time_limit: seconds after which the fit ends; None for no limit.
      verbose: 0 for silence, 1 for a progress bar, 2 for a line per epoch.
      random_state: an int, the `seed` of `tfp_nvp.fit`; a `RandomState`; or None.

    Attributes:
      model_: the fitted `FlowModel`.
      n_features_in_: d.
      feature_names_in_: names of the columns, [d], if `fit` got a table with names.

    >>> from tfp_nvp import RealNVP
    >>> rows = np.random.default_rng(0).normal(size=(100, 2))
    >>> density = FlowDensity(flow=RealNVP, epochs=1, random_state=0).fit(rows)
    >>> density.score_samples(rows[:3]).shape, density.sample(5, random_state=1).shape
    ((3,), (5, 2))
    """

    def __init__(
        self,
        *,
        flow: Any | Callable[..., Any] | None = None,
        support: Any = None,
        periodic: Any = None,
        tails: str = "asinh",
        stack: bool = False,
        members: int = 5,
        validation_split: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        plan: Plan | None = None,
        time_limit: float | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ):
        super().__init__(
            flow=flow,
            support=support,
            tails=tails,
            stack=stack,
            members=members,
            validation_split=validation_split,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            plan=plan,
            time_limit=time_limit,
            verbose=verbose,
            random_state=random_state,
        )
        self.periodic = periodic

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> FlowDensity:
        """Fits the density of rows X [n, d], n at least 20; `y` is ignored.

        Args:
          X: a table of finite numbers.
          y: for pipelines.
          sample_weight: relative weights [n], not negative.

        Raises:
          ValueError, TypeError: for data that can't be fitted, as `tfp_nvp.fit` refuses them.
        """
        X = self._checked(X, ensure_min_samples=2)
        self.model_ = self._fit_model(self._named(X), periodic=self.periodic, sample_weight=sample_weight)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """log p(x) of rows [n, d] in nats, [n], in the units of the data."""
        check_is_fitted(self, "model_")
        return np.asarray(self.model_.log_prob(self._checked(X, reset=False)), np.float64)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of log p(x) over rows [n, d], in nats; `y` is ignored."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draws rows, [n_samples, d].

        Args:
          n_samples: how many.
          random_state: an int for the same rows every time, a `RandomState`, or None.
        """
        check_is_fitted(self, "model_")
        count = checks.integer("n_samples", n_samples, 1)
        return np.asarray(self.model_.sample(count, seed=seed_of(random_state)), np.float64)
