"""Standardization, and rotation to the axes of largest variance."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import summable
from tfp_nvp._limits import reserve
from tfp_nvp.bijectors.bijector import Bijector


class PrincipalAxes(Bijector):
    """z = Vᵀ (x − μ) / s: standardized data in the axes of their correlation matrix, largest variance first.

        log |det ∂z/∂x| = −Σ log s

    V is orthogonal; the axes are not whitened. Mean μ, deviation s and V are set from a batch by `initialize` and then
    fixed; before, the bijector is the identity.

    Args:
      event_shape: [d].
      dtype: of weights and values.

    Raises:
      ValueError: for a shape that is not [d].

    >>> layer = PrincipalAxes([2])
    >>> layer.initialize(tf.constant([[1.0, 20.0], [3.0, 60.0], [1.0, 20.0], [3.0, 60.0]]))
    >>> z = layer.inverse(tf.constant([[3.0, 60.0]]))
    >>> bool(tf.reduce_all(tf.abs(z - [[2**0.5, 0.0]]) < 1e-6))
    True

    References: Jolliffe (2002), "Principal Component Analysis", section 3.1.
    """

    def __init__(self, event_shape: Any, *, dtype: Any = "float32", name: str = "principal_axes"):
        event_shape = checks.vector_shape("event_shape", event_shape)
        super().__init__(event_shape=event_shape, dtype=dtype, is_constant_jacobian=True, name=name)
        (d,) = event_shape
        reserve(d * d)
        self.shift = tf.Variable(tf.zeros([d], self.dtype), name="shift", trainable=False)
        self.log_scale = tf.Variable(tf.zeros([d], self.dtype), name="log_scale", trainable=False)
        self.axes = tf.Variable(tf.eye(d, dtype=self.dtype), name="axes", trainable=False)
        self.initialized = tf.Variable(0.0, name="initialized", dtype=self.dtype, trainable=False)

    @property
    def is_initialized(self) -> bool:
        return bool(self.initialized.numpy())

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        """Sets mean, deviation and axes from a batch x [n, d], n at least 2, in float64.

        A column that is constant in the batch gets a deviation of one. No axis has a negative sum of entries.
        """
        x = tf.cast(x, tf.float64)
        mean, variance = tf.nn.moments(x, [0])
        resolution = tf.abs(mean) * (1e-7 if self.dtype == tf.float32 else 1e-15)
        scale = tf.where(tf.sqrt(variance) > resolution, tf.sqrt(variance), tf.ones_like(variance))
        z = (x - mean) / scale
        axes = tf.linalg.eigh(tf.matmul(z, z, transpose_a=True) / tf.cast(tf.shape(x)[0], tf.float64))[1][:, ::-1]
        axes *= tf.where(tf.reduce_sum(axes, axis=0) < 0.0, -tf.ones_like(mean), tf.ones_like(mean))
        for variable, value in ((self.shift, mean), (self.log_scale, tf.math.log(scale)), (self.axes, axes)):
            variable.assign(tf.cast(value, self.dtype))
        self.initialized.assign(1.0)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        x = _rows_times(z, self.axes, transpose=True) * tf.exp(self.log_scale) + self.shift
        return x, tf.reduce_sum(self.log_scale)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        z = _rows_times((x - self.shift) * tf.exp(-self.log_scale), self.axes, transpose=False)
        return z, -tf.reduce_sum(self.log_scale)


def _rows_times(rows: tf.Tensor, matrix: tf.Tensor, *, transpose: bool) -> tf.Tensor:
    """`rows` [..., d] times a matrix [d, d], or its transpose."""
    product = tf.matmul(tf.reshape(summable(rows), [-1, rows.shape[-1]]), matrix, transpose_b=transpose)
    return tf.ensure_shape(tf.reshape(product, tf.shape(rows)), rows.shape)
