"""Posteriors that the tests infer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def linear(kind: str, dtype: str = "float32") -> Any:
    """A normal mean with a normal prior, observed three times: m ~ N(0, 2²), y ~ N(m, 1).

    The posterior of m is N(Σ y / (3 + ¼), 1 / (3 + ¼)). Of s, LogNormal(0, ½), and of the pair w, N(0, ½²), nothing is
    observed.
    """
    zero, half = np.zeros((), dtype), np.asarray(0.5, dtype)
    parts = {
        "m": tfd.Normal(zero, zero + 2.0),
        "s": tfd.LogNormal(zero, half),
        "w": tfd.Independent(tfd.Normal(np.zeros(2, dtype), half), 1),
        "y": lambda m: tfd.Independent(tfd.Normal(m[..., tf.newaxis] + np.zeros(3, dtype), half + half), 1),
    }
    y = np.asarray([1.0, 2.0, 3.0], dtype)
    if kind == "named":
        return tfd.JointDistributionNamed(parts).experimental_pin(y=y)
    if kind == "sequential":
        last = lambda w, s, m: parts["y"](m)  # noqa: E731
        return tfd.JointDistributionSequential([parts["m"], parts["s"], parts["w"], last]).experimental_pin(
            None, None, None, y
        )

    @tfd.JointDistributionCoroutineAutoBatched
    def model() -> Any:
        m = yield tfd.Normal(zero, zero + 2.0, name="m")
        yield tfd.LogNormal(zero, half, name="s")
        yield tfd.Sample(tfd.Normal(zero, half), 2, name="w")
        yield tfd.Sample(tfd.Normal(m, half + half), 3, name="y")

    return model.experimental_pin(y=y)


#: Mean and standard deviation of m, and the log-evidence of y, by the formulas of the conjugate prior.
MEAN, DEVIATION = 6.0 / 3.25, 3.25**-0.5
_COVARIANCE = np.eye(3) + 4.0
LOG_EVIDENCE = -0.5 * (
    np.array([1.0, 2.0, 3.0]) @ np.linalg.solve(_COVARIANCE, [1.0, 2.0, 3.0])
    + np.linalg.slogdet(2.0 * np.pi * _COVARIANCE)[1]
)


def part(events: Any, name: str) -> Any:
    """A part of events in the structure of any kind."""
    if isinstance(events, list):
        return events[["m", "s", "w"].index(name)]
    return events[name] if isinstance(events, dict) else getattr(events, name)
