"""ActNorm: a scale and shift per channel, set from data."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import with_held_gradient
from tfp_nvp.bijectors.bijector import Bijector


class ActNorm(Bijector):
    """x = z · exp(s) + t, with weights s and t for each element of the last axis.

        log_det = (product of the other dimensions) · Σ s

    `initialize(x)` sets t to the mean and exp(s) to the standard deviation of a batch, so
    that z starts out with mean 0 and variance 1. Until then the layer is the identity.

    Args:
      event_shape: [d], or [h, w, c] for one scale and shift per channel.
      trainable: False for a fixed standardization.
      dtype: of weights and values.

    >>> layer = ActNorm([1])
    >>> layer.initialize(tf.constant([[1.0], [3.0]]))
    >>> layer.inverse(tf.constant([[1.0], [3.0]])).numpy().ravel().round(3).tolist()
    [-1.0, 1.0]

    References: Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039, section 3.1.
    """

    def __init__(self, event_shape: Any, *, trainable: bool = True, dtype: Any = "float32", name: str = "act_norm"):
        event_shape = checks.shape("event_shape", event_shape, min_rank=1)
        super().__init__(event_shape=event_shape, dtype=dtype, is_constant_jacobian=True, name=name)
        self._repeats = math.prod(event_shape[:-1])
        zeros = tf.zeros(event_shape[-1:], self.dtype)
        self.shift = tf.Variable(zeros, name="shift", trainable=trainable)
        self.log_scale = tf.Variable(zeros, name="log_scale", trainable=trainable)
        self.initialized = tf.Variable(0.0, name="initialized", dtype=self.dtype, trainable=False)

    @property
    def is_initialized(self) -> bool:
        return bool(self.initialized.numpy())

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        """Sets shift and scale from a batch x [n, *event], n at least 2.

        An element that is constant in the batch gets a scale of one. Moments are computed in float64, exact for data
        far from zero.
        """
        axes = list(range(x.shape.rank - 1))
        mean, variance = tf.nn.moments(tf.cast(x, tf.float64), axes)
        resolution = tf.abs(mean) * self.dtype.as_numpy_dtype(1e-7 if self.dtype == tf.float32 else 1e-15)
        scale = tf.where(tf.sqrt(variance) > resolution, tf.sqrt(variance), tf.ones_like(variance))
        self.shift.assign(tf.cast(mean, self.dtype))
        self.log_scale.assign(tf.cast(tf.math.log(scale), self.dtype))
        self.initialized.assign(1.0)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return z * self._scale(z, self.log_scale) + self.shift, self._repeats * tf.reduce_sum(self.log_scale)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return (x - self.shift) * self._scale(x, -self.log_scale), -self._repeats * tf.reduce_sum(self.log_scale)

    @staticmethod
    def _scale(value: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
        """exp(log_scale) for each element of `value`, so that gradients are held before they are summed."""
        return with_held_gradient(tf.broadcast_to(tf.exp(log_scale), tf.shape(value)))
