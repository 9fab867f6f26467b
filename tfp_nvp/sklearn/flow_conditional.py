"""A regressor of scikit-learn whose answer is a density."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.distributions import Flow, StandardNormal
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.sklearn._estimator import RegressorMixin, check_is_fitted, seed_of
from tfp_nvp.sklearn._table_estimator import TableEstimator
from tfp_nvp.training import FlowModel, Plan

tfd = tfp.distributions

#: Draws in memory at a time.
_DRAWS = 200_000
#: Of the draws behind predictions, which are the same in every call.
_SEED = 0


class FlowConditional(RegressorMixin, TableEstimator):
    """A normalizing flow of p(y | X), as a regressor of scikit-learn: `tfp_nvp.fit(y, X)` behind its interface.

    `predict` is the mean, or any quantiles, of a density of whatever shape, whose width depends on X; `score` is R² of
    the mean, as of any regressor, and `log_prob` says how good the density is. All rows share their latents:

        y_s = g(z_s; x),    s = 1, …, num_samples

    so predictions are the same in every call, and those of a row do not depend on the others. With one target, z_s are
    the quantiles (s − ½) / num_samples of the base, which makes quantiles and intervals exact up to that resolution;
    with several, they are drawn from the base, and quantiles are those of each target alone.

    Args:
      flow: a flow, of which a copy is fitted, or a recipe, called as `flow(event_shape=[d], condition_shape=[k],
        seed=seed)`; None for a neural spline flow sized to the data. Draws of what is no `tfp_nvp.Flow`, such as a
        mixture of flows, depend on the other rows of the call.
      support: (low, high) bounds of the targets, or a dict of pairs by number.
      num_samples: draws of y for each row, for means and quantiles.
      tails, stack, members, validation_split, epochs, batch_size, learning_rate, plan, time_limit, verbose,
        random_state: as those of `FlowDensity`.

    Attributes:
      model_: the fitted `FlowModel` of y with the condition X.
      n_features_in_: k.
      feature_names_in_: names of the columns of X, [k], if `fit` got a table with names.

    >>> from tfp_nvp import RealNVP
    >>> X, noise = np.random.default_rng(0).normal(size=(2, 100, 1))
    >>> regressor = FlowConditional(flow=RealNVP, epochs=1, random_state=0).fit(X, (X + noise)[:, 0])
    >>> regressor.predict(X[:5]).shape, regressor.predict_interval(X[:5], 0.9).shape
    ((5,), (5, 2))
    """

    def __init__(
        self,
        *,
        flow: Any | Callable[..., Any] | None = None,
        support: Any = None,
        num_samples: int = 1000,
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
        self.num_samples = num_samples

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FlowConditional:
        """Fits p(y | X) to rows X [n, k] and targets y [n] or [n, d], n at least 20.

        Args:
          X: a table of finite numbers.
          y: finite numbers that vary by more than X tells: a target without noise has no density.
          sample_weight: relative weights [n], not negative.

        Raises:
          ValueError, TypeError: for data that can't be fitted, as `tfp_nvp.fit` refuses them.
        """
        checks.integer("num_samples", self.num_samples, 1)
        X, y = self._checked(X, y, multi_output=True, y_numeric=True, ensure_min_samples=2)
        self.model_ = self._fit_model(_columns(y), self._named(X), sample_weight=sample_weight)
        self._one_target = y.ndim == 1
        return self

    def predict(self, X: Any, quantiles: Any = None) -> np.ndarray:
        """The mean of y given each row of X [n, k], or quantiles.

        Args:
          X: rows.
          quantiles: None for the mean; a level in (0, 1), or q of them in a list.

        Returns:
          The shape of y, [n] or [n, d]; of several quantiles [n, q] or [n, q, d].
        """
        if quantiles is None:
            return self._in_shape([self._on_grid(draws).mean(axis=0) for draws in self._draws(X)])
        levels = checks.numbers_in("quantiles", quantiles, checks.INNER_FRACTION)
        # Of draws at (s − ½) / S, "hazen" reads off those very levels.
        parts = [np.quantile(draws, levels, axis=0, method="hazen") for draws in self._draws(X)]
        return self._in_shape([self._on_grid(np.moveaxis(part, 0, 1) if levels.ndim else part) for part in parts])

    def predict_interval(self, X: Any, level: float = 0.9) -> np.ndarray:
        """The central interval of y given each row of X [n, k]: low and high, [n, 2] or [n, 2, d].

        Args:
          X: rows.
          level: the probability that y is within, in (0, 1).
        """
        tail = (1.0 - checks.number("level", level, checks.INNER_FRACTION)) / 2.0
        return self.predict(X, quantiles=[tail, 1.0 - tail])

    def log_prob(self, X: Any, y: Any) -> np.ndarray:
        """log p(y | x) of rows X [n, k] and targets y [n] or [n, d] in nats, [n], in the units of y."""
        check_is_fitted(self, "model_")
        X, y = self._checked(X, y, reset=False, multi_output=True, y_numeric=True)
        return np.asarray(self.model_.log_prob(_columns(y), condition=X), np.float64)

    def sample(self, X: Any, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draws y given each row of X [n, k], other ones for every row: [n, n_samples] or [n, n_samples, d].

        Args:
          X: rows.
          n_samples: how many for each row.
          random_state: an int for the same draws every time, a `RandomState`, or None.
        """
        check_is_fitted(self, "model_")
        X, count = self._checked(X, reset=False), checks.integer("n_samples", n_samples, 1)
        y = np.asarray(self.model_.sample(count, condition=X, seed=seed_of(random_state)), np.float64)
        return self._in_shape([np.moveaxis(y, 0, 1)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # scikit-learn before 1.6
        return {"multioutput": True}

    def _draws(self, X: Any) -> Iterator[np.ndarray]:
        """Draws of y given some rows after others, [num_samples, b, d], not rounded to a grid of targets."""
        check_is_fitted(self, "model_")
        X, count = self._checked(X, reset=False), checks.integer("num_samples", self.num_samples, 1)
        latents = _latents(self.model_, count)
        at_once = max(1, _DRAWS // count)
        for start in range(0, len(X), at_once):
            rows = X[start : start + at_once]
            if latents is None:
                y = self.model_.sample(count, condition=rows, seed=(_SEED, start), round=False)
            else:
                z = np.broadcast_to(latents, (count, len(rows), latents.shape[-1]))
                y, _ = self.model_.decode(z, condition=rows)
            yield np.asarray(y, np.float64)

    def _on_grid(self, y: np.ndarray) -> np.ndarray:
        """Values [..., d] of targets on a grid, such as counts, moved to it."""
        schema = self.model_.schema
        return y if schema is None else np.asarray(schema.round(y))

    def _in_shape(self, parts: list[np.ndarray]) -> np.ndarray:
        """Answers [b, ..., d] for some rows after others, without the last axis if y had none."""
        whole = np.concatenate(parts)
        return whole[..., 0] if self._one_target else whole


def _columns(y: np.ndarray) -> np.ndarray:
    """Targets [n] as [n, 1]."""
    return y[:, np.newaxis] if y.ndim == 1 else y


def _latents(model: FlowModel, count: int) -> np.ndarray | None:
    """Latents that all rows share, [count, 1, d]; None if there are none that do not depend on the condition."""
    flow = model.distribution
    if not isinstance(flow, Flow) or as_fittable(flow.distribution).condition_shape is not None:
        return None
    base = flow.distribution
    if isinstance(base, StandardNormal) and base.event_shape == [1]:
        levels = (np.arange(count) + 0.5) / count
        return tfd.Normal(np.float64(0.0), np.float64(1.0)).quantile(levels).numpy()[:, np.newaxis, np.newaxis]
    return base.sample(count, seed=(0, _SEED)).numpy()[:, np.newaxis]
