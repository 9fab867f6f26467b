"""Draws of a surrogate, weighted to be those of the target."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.inference._psis import pareto_smoothed
from tfp_nvp.inference._target import as_target, flow_and_bijector

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class ImportanceSample:
    """Draws x of a surrogate q with importance weights w = p(x) / q(x).

    Attributes:
      events: in the structure of the target's events, [n, ...] each.
      log_weights: Pareto-smoothed, float64 [n]; exp of them sums to 1.
      k_hat: shape of the tail of the weights. Below min(0.7, 1 − 1 / log₁₀ n), `k_limit`, corrected expectations are
        reliable; above it q misses what matters, or is far from p.
      ess: effective number of draws, 1 / Σ w².
      log_evidence: log Z = log mean p(x) / q(x), in nats; right up to the target's own constant.
      log_evidence_error: its standard error, by the delta method; too small where k̂ is high.
    """

    events: Any
    log_weights: np.ndarray
    k_hat: float
    ess: float
    log_evidence: float
    log_evidence_error: float

    @property
    def k_limit(self) -> float:
        """The largest k̂ at which so many draws are reliable (Vehtari et al. 2024, equation 13)."""
        return min(0.7, 1.0 - 1.0 / math.log10(len(self.log_weights)))

    @property
    def is_reliable(self) -> bool:
        """Whether k̂ is below its limit."""
        return bool(self.k_hat < self.k_limit)

    def expectation(self, function: Callable[[Any], Any] | None = None) -> tuple[Any, Any]:
        """E_p[f(x)] and its standard error, by the smoothed weights.

            Σ w f(x),    √Σ w² (f(x) − Σ w f(x))²

        Args:
          function: from events [n, ...] to a tensor [n, ...], or a structure of such; None for the events themselves.

        Returns:
          Two structures of float64 arrays without the first dimension.
        """
        values = self.events if function is None else function(self.events)
        weights = np.exp(self.log_weights)

        def mean(value: Any) -> np.ndarray:
            return np.tensordot(weights, np.asarray(value, np.float64), 1)

        def error(value: Any) -> np.ndarray:
            value = np.asarray(value, np.float64)
            return np.sqrt(np.tensordot(weights**2, (value - mean(value)) ** 2, 1))

        return tf.nest.map_structure(mean, values), tf.nest.map_structure(error, values)

    def resample(self, num_samples: int, *, seed: int = 0) -> Any:
        """Events drawn by their weights, with replacement: in the structure of the events, [num_samples, ...]."""
        checks.integer("num_samples", num_samples, 1)
        rows = np.random.default_rng(seed).choice(len(self.log_weights), num_samples, p=np.exp(self.log_weights))
        return tf.nest.map_structure(lambda part: tf.gather(part, rows), self.events)


def importance_sample(
    surrogate: tfd.Distribution, target: Any, num_samples: int = 4000, *, seed: int = 0
) -> ImportanceSample:
    """Draws of a surrogate with Pareto-smoothed importance weights, which say how good it is and correct it.

    Args:
      surrogate: what `surrogate_posterior` returns, or a flow over vectors [d].
      target: the pinned joint distribution, another `tfd.Distribution`, or a function from events to log-densities.
      num_samples: draws, at least 100.
      seed: of the draws.

    Raises:
      TypeError: for another surrogate or target.
      ValueError: if a log-density is NaN or +inf, or all weights are zero.

    >>> normal = tfd.MultivariateNormalDiag([0.0, 0.0])
    >>> wider = tfd.MultivariateNormalDiag([0.0, 0.0], [1.5, 1.5])
    >>> sample = importance_sample(wider, normal, 1000)
    >>> sample.is_reliable, abs(sample.log_evidence) < 0.1
    (True, True)

    References: Yao, Vehtari, Simpson & Gelman (2018), "Yes, but Did It Work?: Evaluating Variational Inference",
    arXiv:1802.02538; Vehtari et al. (2024), "Pareto Smoothed Importance Sampling", arXiv:1507.02646.
    """
    checks.integer("num_samples", num_samples, 100)
    density = as_target(target, like=surrogate)
    flow, _ = flow_and_bijector(surrogate)
    z, log_q = flow.experimental_sample_and_log_prob(num_samples, seed=tf.constant([seed, 6]))
    log_weights = np.asarray(density.log_prob(z), np.float64) - np.asarray(log_q, np.float64)
    check_weights(log_weights)
    log_evidence, error = log_mean(log_weights)
    smoothed, k_hat = pareto_smoothed(log_weights)
    ess = float(np.exp(-np.logaddexp.reduce(2.0 * smoothed)))
    return ImportanceSample(density.events(z), smoothed, k_hat, ess, log_evidence, error)


def check_weights(log_weights: np.ndarray) -> None:
    """Raises `ValueError` for log-weights that are NaN or +inf, or all −inf."""
    if bad := int((np.isnan(log_weights) | (log_weights == np.inf)).sum()):
        raise ValueError(
            f"The target's log-density less that of the surrogate is NaN or +inf at {bad} of {len(log_weights)} draws. "
            "Check the target there."
        )
    if not (log_weights > -np.inf).any():
        raise ValueError(
            f"All {len(log_weights)} importance weights are zero: the target's density is zero at every draw. "
            "Fit the surrogate to this target first."
        )


def log_mean(log_values: np.ndarray, efficiency: float = 1.0) -> tuple[float, float]:
    """log of the mean of exp(values), and its standard error: sd / (mean √(efficiency · n))."""
    top = log_values.max()
    values = np.exp(log_values - top)
    mean = values.mean()
    return float(top + np.log(mean)), float(values.std() / (mean * math.sqrt(efficiency * len(values))))
