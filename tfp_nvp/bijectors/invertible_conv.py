"""Glow's invertible 1 × 1 convolution."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors.bijector import Bijector
from tfp_nvp.bijectors.invertible_linear import InvertibleLinear


class InvertibleConv1x1(Bijector):
    """The same `InvertibleLinear` map of the channels at every pixel.

        z[i, j] = W x[i, j],    log |det ∂z/∂x| = h · w · Σ s

    It starts as a random orthogonal matrix, a generalization of a permutation of the channels.

    Args:
      event_shape: [h, w, c].
      seed: of the matrix it starts as; None for the identity.
      dtype: of weights and values.

    >>> layer = InvertibleConv1x1([2, 2, 3], seed=0)
    >>> layer.inverse(tf.ones([5, 2, 2, 3])).shape
    TensorShape([5, 2, 2, 3])

    References: Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039, section 3.2.
    """

    def __init__(
        self, event_shape: Any, *, seed: int | None = None, dtype: Any = "float32", name: str = "invertible_conv_1x1"
    ):
        event_shape = checks.shape("event_shape", event_shape, min_rank=2)
        super().__init__(event_shape=event_shape, dtype=dtype, is_constant_jacobian=True, name=name)
        self._pixels = math.prod(event_shape[:-1])
        self.linear = InvertibleLinear(event_shape[-1:], seed=seed, start="orthogonal", dtype=dtype)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        x, log_det = self.linear._forward_and_log_det(z, None)
        return x, self._pixels * log_det

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        z, log_det = self.linear._inverse_and_log_det(x, None)
        return z, self._pixels * log_det
