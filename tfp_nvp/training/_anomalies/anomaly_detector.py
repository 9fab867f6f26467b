"""Anomalies: rows that are unlikely under a flow fitted to others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors import PrincipalAxes
from tfp_nvp.distributions import Flow
from tfp_nvp.flows import NeuralSplineFlow
from tfp_nvp.training._anomalies.smoothed import fit_smoothed
from tfp_nvp.training._anomalies.threshold import CONFIDENCE, Threshold, default_rate, order_statistic, threshold_of
from tfp_nvp.training._models.flow_model import FlowModel
from tfp_nvp.training._models.schema import Schema
from tfp_nvp.training._tables.columns import MIN_ROWS, as_table, refuse_unresolved
from tfp_nvp.training._tables.progress import Progress
from tfp_nvp.training._tables.units import behind
from tfp_nvp.transformers import RationalQuadratic


class AnomalyDetector:
    """Finds rows that are unlikely under a flow fitted to others.

        score(x) = −log p(x) in nats;    x is called an anomaly if score(x) > threshold

    The threshold is set on held-out rows, for a false-positive rate: on average no larger a share of new rows like
    those exceeds it. If the held-out rows hold anomalies, these count into the rate.

    Args:
      model: a fitted unconditional `FlowModel`; by default `fit` makes one.
      seed: an int that makes the fit reproducible.

    Attributes:
      model: the `FlowModel`; None before `fit`.
      threshold_: the `Threshold`; None before `fit` or `calibrate`.

    Raises:
      TypeError, ValueError: if `model` is not a `FlowModel`, is conditional, or has integer events.

    >>> rows = np.random.default_rng(0).normal(size=(300, 2))
    >>> detector = AnomalyDetector(seed=0).fit(rows, false_positive_rate=0.05, steps=20, verbose=0)
    >>> detector.predict([[0.0, 0.0], [50.0, -50.0]])
    array([False,  True])
    """

    def __init__(self, model: FlowModel | None = None, *, seed: int | None = None):
        if model is not None:
            model = checks.instance("model", model, FlowModel, "tfp_nvp.fit(x)")
            if model.is_conditional or not model.distribution.dtype.is_floating:
                raise ValueError("`model` must be of real numbers and without a condition; score others by `log_prob`.")
        self.model = model
        self.threshold_: Threshold | None = None
        self.seed = checks.seed("seed", seed)

    def fit(
        self,
        x: Any,
        *,
        false_positive_rate: float | None = None,
        calibration_split: float = 0.2,
        noise: float | None = None,
        flow: Callable[..., Flow] | None = None,
        steps: int = 1000,
        verbose: int | str = "auto",
    ) -> AnomalyDetector:
        """Fits a flow to most rows of a table, and sets the threshold on the others.

        Rows are standardized and rotated to their principal axes, and the flow is fitted to their density smoothed by
        a wide Gaussian kernel:

            p(z) = 1/n Σᵢ N(z; zᵢ, noise² I)

        So neither ties in the data nor the few anomalies among the rows, alone or in clusters, get a high density. The
        flow's log-density is regressed on the smoothed one around the rows, with a Huber loss in nats. The cost of
        scoring does not depend on n.

        Args:
          x: [n, d], n at least 20, of which 10 to fit, without labels.
          false_positive_rate: as for `calibrate`.
          calibration_split: share of the rows held out for the threshold, rounded up; 0 to fit to all rows and call
            `calibrate` with others.
          noise: width of the kernel in deviations of a column; by default min(2, √d / 2).
          flow: a recipe, called as `flow(event_shape=[d], seed=seed)`; by default a neural spline flow of 4 couplings.
          steps: of training, with batches of 512; rounded up to a multiple of 10.
          verbose: 1 or "auto" for a progress bar, 0 for silence.

        Returns:
          The detector itself.

        Raises:
          TypeError, ValueError: for NaN, too few rows, or too few held-out rows for the rate.
        """
        x, names, _ = as_table("x", x)
        d = x.shape[1]
        noise = min(2.0, math.sqrt(d) / 2.0) if noise is None else checks.positive("noise", noise)
        steps = checks.integer("steps", steps, 1)
        seed = checks.seed_or_random("seed", self.seed)
        order = np.random.default_rng(seed).permutation(len(x))
        held_out = math.ceil(checks.number("calibration_split", calibration_split, checks.FRACTION) * len(x))
        if len(x) < MIN_ROWS or len(x) - held_out < MIN_ROWS // 2:
            raise ValueError(
                f"`x` must have at least {MIN_ROWS} rows, {MIN_ROWS // 2} of them to fit; it has {len(x)}, of which "
                f"`calibration_split` leaves {len(x) - held_out}."
            )
        if held_out:  # before the work, not after it
            false_positive_rate = default_rate(held_out) if false_positive_rate is None else false_positive_rate
            order_statistic(held_out, false_positive_rate)
        rows, make = x[order[held_out:]], _default_flow if flow is None else flow
        inner = make(event_shape=[d], seed=seed)
        refuse_unresolved("x", x, inner.dtype, names)
        axes = PrincipalAxes([d], dtype=inner.dtype)
        axes.initialize(tf.constant(rows))
        z = axes.inverse(tf.constant(rows, inner.dtype))
        fit_smoothed(inner, z, noise, steps, seed, [Progress()] if verbose in (1, "auto", True) else [])
        self.model = FlowModel(behind([axes], inner, name="detector"), schema=Schema(columns=names))
        self.threshold_ = None
        return self.calibrate(x[order[:held_out]], false_positive_rate) if held_out else self

    def calibrate(self, x: Any, false_positive_rate: float | None = None) -> AnomalyDetector:
        """Sets the threshold on rows that the flow was not fitted to.

        It is the k-th smallest of their n scores, k = ⌈(n + 1)(1 − rate)⌉. A new row of the same distribution exceeds
        it with probability at most `false_positive_rate` (split conformal prediction: Vovk et al. 2005).

        Args:
          x: [n, d], n at least 1 / rate − 1.
          false_positive_rate: in (0, 1); by default 0.01, or, with a warning, the least that fewer than 99 rows permit,
            1 / (n + 1).

        Returns:
          The detector itself.

        Raises:
          ValueError: if there are too few rows for so small a rate.
        """
        scores = self.score(x)
        rate = default_rate(len(scores)) if false_positive_rate is None else false_positive_rate
        self.threshold_ = threshold_of(scores, rate)
        return self

    @property
    def threshold(self) -> float:
        """The score above which a row is an anomaly.

        Raises:
          ValueError: if there is none yet.
        """
        return self._calibrated().value

    def score(self, x: Any) -> np.ndarray:
        """−log p of rows [n, d] in nats, [n]: larger for less likely ones, NaN for NaN."""
        model = self._fitted()
        event_shape = model.distribution.event_shape.as_list()
        x = np.asarray(model.as_events(x))
        if x.ndim != 1 + len(event_shape) or list(x.shape[1:]) != event_shape:
            raise ValueError(f"`x` must have shape [n, {', '.join(map(str, event_shape))}]; got {list(x.shape)}.")
        return -np.asarray(model.predict(x, batch_size=4096, verbose=0))

    def predict(self, x: Any) -> np.ndarray:
        """Whether each of rows [n, d] is an anomaly, [n]."""
        return ~(self.score(x) <= self.threshold)  # a NaN is one

    def scores(self, x: tf.Tensor) -> tf.Tensor:
        """`score` of a tensor, for use in a graph."""
        return -self._fitted().distribution.log_prob(x)

    def _fitted(self) -> FlowModel:
        if self.model is None:
            raise ValueError("The detector has no flow yet: call `fit`, or give it a fitted FlowModel.")
        return self.model

    def _calibrated(self) -> Threshold:
        if self.threshold_ is None:
            raise ValueError("The detector has no threshold yet: call `fit`, or `calibrate` with held-out rows.")
        return self.threshold_

    def describe(self) -> dict[str, Any]:
        """The threshold as JSON values; None where an interval has no end."""
        threshold = self._calibrated()
        return {
            "score": "-log_prob, nats",
            "threshold": threshold.value,
            "threshold_interval": [end if math.isfinite(end) else None for end in threshold.interval],
            "false_positive_rate": threshold.false_positive_rate,
            "false_positive_rate_interval": list(threshold.rate_interval),
            "confidence": CONFIDENCE,
            "calibration_rows": threshold.rows,
        }


def _default_flow(event_shape: list[int], seed: int) -> Flow:
    return NeuralSplineFlow(
        event_shape,
        num_layers=4,
        hidden_units=64,
        num_blocks=1,
        transformer=RationalQuadratic(num_bins=8),
        seed=seed,
    )
