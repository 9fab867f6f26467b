"""Heavy tails: a hyperbolic sine on chosen elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors._approach import clamp
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector


class Sinh(Bijector):
    """x = sinh(z) on the elements of `mask`, x = z on the others.

        log |dx/dz| = log cosh(z)

    Its inverse z = asinh(x) is the identity near zero and a logarithm far out, so that a flow can fit heavy tails and
    outliers.

    For latents up to ±m, m = 86.6 in float32 and 707.6 in float64 (sinh(m) is a quarter of the greatest number),
    `inverse(forward(z))` is z within 8 eps (1 + |z|). Beyond, both directions and their log-dets are constant.

    Args:
      mask: boolean [d], `True` (or 1) where the map applies.

    >>> float(Sinh([True]).inverse(tf.constant([1e6]))[0]) < 15
    True

    References: Jones & Pewsey (2009), "Sinh-arcsinh distributions", Biometrika 96(4).
    """

    def __init__(self, mask: Any, *, dtype: Any = "float32", name: str = "sinh"):
        mask = checks.mask("mask", mask, 1)
        super().__init__(event_shape=mask.shape, dtype=dtype, name=name)
        self._mask = mask
        self._most = float(np.arcsinh(float(np.finfo(self.dtype.as_numpy_dtype).max) / 4))

    def _keeps(self, values: Range) -> bool:
        return bool(np.all(np.isin(values.low, (-np.inf, 0.0)) & np.isin(values.high, (0.0, np.inf))))

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        inner = clamp(tf.where(self._mask, z, tf.zeros_like(z)), -self._most, self._most)
        return tf.where(self._mask, tf.sinh(inner), z), tf.reduce_sum(_log_cosh(inner), axis=-1)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        inner = tf.where(self._mask, x, tf.zeros_like(x))
        z = clamp(asinh(inner), -self._most, self._most)
        return tf.where(self._mask, z, x), -tf.reduce_sum(_log_cosh(z), axis=-1)


def _log_cosh(z: tf.Tensor) -> tf.Tensor:
    """log cosh(z), without the overflow of cosh."""
    size = tf.abs(z)
    return size + tf.math.log1p(tf.exp(-2.0 * size)) - float(np.log(2.0))


def asinh(x: tf.Tensor) -> tf.Tensor:
    """asinh(x), without the overflow of x²: beyond 1e8 it is log(2 |x|) to float64's precision."""
    far = tf.abs(x) > 1e8
    near = tf.asinh(tf.where(far, tf.ones_like(x), x))
    size = tf.where(far, tf.abs(x), tf.ones_like(x))
    return tf.where(far, tf.sign(x) * (tf.math.log(size) + float(np.log(2.0))), near)
