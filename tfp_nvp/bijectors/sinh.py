"""Heavy tails: a hyperbolic sine on chosen elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors.bijector import Bijector


class Sinh(Bijector):
    """x = sinh(z) on the elements of `mask`, x = z on the others.

        log |dx/dz| = log cosh(z)

    Its inverse z = asinh(x) is the identity near zero and a logarithm far out, so that a flow can fit heavy tails and
    outliers.

    Args:
      mask: boolean [d], `True` where the map applies.

    >>> float(Sinh([True]).inverse(tf.constant([1e6]))[0]) < 15
    True

    References: Jones & Pewsey (2009), "Sinh-arcsinh distributions", Biometrika 96(4).
    """

    def __init__(self, mask: Any, *, dtype: Any = "float32", name: str = "sinh"):
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.ndim != 1:
            raise TypeError(f"`mask` must be a boolean vector; got {mask.dtype} of shape {mask.shape}.")
        super().__init__(event_shape=mask.shape, dtype=dtype, name=name)
        self._mask = mask

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        inner = tf.where(self._mask, z, tf.zeros_like(z))
        return tf.where(self._mask, tf.sinh(inner), z), tf.reduce_sum(_log_cosh(inner), axis=-1)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        inner = tf.where(self._mask, x, tf.zeros_like(x))
        z = asinh(inner)
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
