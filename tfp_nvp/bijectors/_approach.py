"""Curves that approach a bound as far as floating point can follow, and clamps that keep their derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

#: A curve turns into its tangent so many spacings of floating-point numbers from the bound: rounding the distance to
#: the nearest number then moves w by at most half of 1 / SPACINGS.
SPACINGS = 64.0
#: The tangent starts at this w at the latest, so that w reaches −5, however narrow an interval is.
LATEST = -4.0


class Curve(NamedTuple):
    """An increasing function t(w) > 0 that is close to exp(w) for small w, in TensorFlow and NumPy."""

    value: Callable[[Any], Any]  # t(w)
    inverse: Callable[[Any], Any]  # w(t)
    log_slope: Callable[[Any], Any]  # log dt/dw at w
    safe: float  # a w, for elements that have another curve
    numpy_inverse: Callable[[Any], Any]
    numpy_slope: Callable[[Any], Any]  # dt/dw at w


#: t = sigmoid(w), w = log t − log(1 − t)
SIGMOID = Curve(
    tf.sigmoid,
    lambda t: tf.math.log(t) - tf.math.log1p(-t),
    lambda w: tf.math.log_sigmoid(w) + tf.math.log_sigmoid(-w),
    -1.0,
    lambda t: np.log(t) - np.log1p(-t),
    lambda w: np.exp(-np.logaddexp(0.0, w) - np.logaddexp(0.0, -w)),
)
#: t = log(1 + exp(w)), w = t + log(1 − exp(−t))
SOFTPLUS = Curve(
    tf.math.softplus,
    lambda t: t + tf.math.log(-tf.math.expm1(-t)),
    tf.math.log_sigmoid,
    0.0,
    lambda t: t + np.log(-np.expm1(-t)),
    lambda w: np.exp(-np.logaddexp(0.0, -w)),
)
#: t = exp(w), w = log t
EXPONENTIAL = Curve(tf.exp, tf.math.log, lambda w: w, 0.0, np.log, np.exp)


class Approach:
    """The relative distance t ≥ 0 from a bound, as a function of w: a curve, and its tangent from an edge on.

        t = curve(w)                       where w ≥ w_edge,    curve(w_edge) = edge
        t = edge · (1 + (w − w_edge) / r)  below, down to t = 0 at w = w_edge − r,    r = edge / curve'(w_edge) ≥ 1

    So numbers closer to the bound than the edge, which floating point places on a grid, get equal intervals of w.

    Args:
      curve: of all elements.
      edge: relative distances, float64.
    """

    def __init__(self, curve: Curve, edge: Any):
        self.curve = curve
        latest = float(-np.expm1(-np.logaddexp(0.0, LATEST))) if curve is SIGMOID else float(np.exp(LATEST))
        self.edge = np.minimum(np.asarray(edge, np.float64), latest)
        self.w_edge = curve.numpy_inverse(self.edge)
        self.slope = curve.numpy_slope(self.w_edge)
        self.reach = self.edge / self.slope

    def distance(self, w: tf.Tensor) -> tf.Tensor:
        """t of w; negative below w_edge − r."""
        w_edge, edge = self._constant(w, self.w_edge), self._constant(w, self.edge)
        line = edge + self._constant(w, self.slope) * (w - w_edge)
        return tf.where(w < w_edge, line, self.curve.value(tf.maximum(w, w_edge)))

    def latent(self, t: tf.Tensor) -> tf.Tensor:
        """w of t."""
        edge = self._constant(t, self.edge)
        line = self._constant(t, self.w_edge) + self._constant(t, self.reach) * (t / edge - 1.0)
        return tf.where(t < edge, line, self.curve.inverse(tf.maximum(t, edge)))

    def log_slope(self, w: tf.Tensor) -> tf.Tensor:
        """log dt/dw at w."""
        return self.curve.log_slope(tf.maximum(w, self._constant(w, self.w_edge)))

    def latent_of(self, t: Any) -> np.ndarray:
        """w of t in float64, in NumPy."""
        line = self.w_edge + self.reach * (np.minimum(t, self.edge) / self.edge - 1.0)
        return np.where(t < self.edge, line, self.curve.numpy_inverse(np.maximum(t, self.edge)))

    @staticmethod
    def _constant(like: tf.Tensor, value: np.ndarray) -> tf.Tensor:
        return tf.constant(value, like.dtype)


def spacing_inside(bound: Any, inwards: float, dtype: Any) -> np.ndarray:
    """The distance from a bound to the next number of `dtype` inside; at 0 the least normal number.

    TensorFlow's kernels treat denormal numbers as 0.

    Args:
      bound: finite numbers of `dtype`.
      inwards: inf if numbers inside are above the bound, −inf if they are below.
      dtype: a NumPy dtype.
    """
    bound = np.asarray(bound, dtype)
    tiny = np.finfo(dtype).tiny
    following = np.nextafter(bound, np.asarray(inwards, dtype)).astype(np.float64)
    return np.maximum(np.abs(following - bound.astype(np.float64)), np.float64(tiny))


def clamp(value: tf.Tensor, low: Any, high: Any) -> tf.Tensor:
    """`value` clipped to [low, high], with the derivative of the identity everywhere.

    A function of it is constant beyond the limits and keeps there the derivative that it has at the limit: a gradient
    of zero would hide from an optimizer where to go.
    """
    ends = (tf.convert_to_tensor(end, value.dtype) for end in (low, high))
    held = tf.stop_gradient(tf.clip_by_value(value, *ends))
    finite = tf.where(tf.math.is_inf(value), tf.zeros_like(value), value)
    return held + (finite - tf.stop_gradient(finite))
