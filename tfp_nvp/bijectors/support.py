"""From the real line into bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors.bijector import Bijector


class Support(Bijector):
    """Maps each element of a vector from the real line into its bounds.

        both bounds:  x = low + (high − low) · sigmoid(z)
        only low:     x = low + scale · softplus(z)
        only high:    x = high − scale · softplus(z)
        neither:      x = z

    A value on a bound, or closer to it than 1e-6 of the interval or scale, is moved that far inside, so that its
    density is finite. Beyond the bounds the log-det is −inf: the density is zero there.

    Args:
      low, high: [d], ±inf where there is no bound; low below high.
      scale: [d], positive: a typical distance from a single bound.
      dtype: of values.

    Raises:
      ValueError: if the shapes differ, or a low is not below its high.

    >>> Support([0.0], [1.0]).forward([0.0]).numpy().tolist()
    [0.5]
    """

    def __init__(self, low: Any, high: Any, *, scale: Any = None, dtype: Any = "float32", name: str = "support"):
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        scale = np.ones_like(low) if scale is None else np.asarray(scale, np.float64)
        if low.ndim != 1 or low.shape != high.shape or low.shape != scale.shape:
            raise ValueError(f"`low`, `high` and `scale` must be vectors of one shape; got {low}, {high} and {scale}.")
        if not (low < high).all():
            raise ValueError(f"`low` must be below `high` in every element; got {low} and {high}.")
        if not (scale > 0).all():
            raise ValueError(f"`scale` must be positive; got {scale}.")
        super().__init__(event_shape=low.shape, dtype=dtype, name=name)
        has_low, has_high = np.isfinite(low), np.isfinite(high)
        np_dtype = self.dtype.as_numpy_dtype
        self._both, self._one = has_low & has_high, has_low ^ has_high
        self._low, self._high = low.astype(np_dtype), high.astype(np_dtype)
        # x = anchor + sign · length · t, with t in (0, 1) for two bounds and above 0 for one
        self._anchor = np.where(has_low, low, np.where(has_high, high, 0.0)).astype(np_dtype)
        self._sign = np.where(has_high & ~has_low, -1.0, 1.0).astype(np_dtype)
        self._length = np.subtract(high, low, where=self._both, out=scale.copy()).astype(np_dtype)
        self._bounded = self._both | self._one

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        t = tf.where(self._both, tf.sigmoid(z), tf.math.softplus(z))
        x = tf.where(self._bounded, self._anchor + self._sign * self._length * t, z)
        return x, tf.reduce_sum(self._log_slope(z), axis=-1)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        t = self._sign * (x - self._anchor) / self._length
        outside = (x < self._low) | (x > self._high)  # not by t, which rounding can put beyond 1 at x = high
        margin = 1e-6
        t = tf.maximum(t, margin)
        t = tf.where(self._both, tf.minimum(t, 1.0 - margin), t)
        inner = tf.where(self._both, t, 0.5)
        logit = tf.math.log(inner) - tf.math.log1p(-inner)
        one = tf.where(self._one, t, 1.0)
        inverse_softplus = one + tf.math.log(-tf.math.expm1(-one))
        z = tf.where(self._both, logit, tf.where(self._one, inverse_softplus, x))
        log_det = -tf.reduce_sum(self._log_slope(z), axis=-1)
        return z, tf.where(tf.reduce_any(outside, axis=-1), tf.constant(-np.inf, log_det.dtype), log_det)

    def _log_slope(self, z: tf.Tensor) -> tf.Tensor:
        """log |dx/dz| of each element."""
        one = tf.math.log_sigmoid(z) + np.log(self._length)
        both = one + tf.math.log_sigmoid(-z)
        return tf.where(self._both, both, tf.where(self._one, one, tf.zeros_like(z)))
