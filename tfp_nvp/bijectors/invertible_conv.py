"""Glow's invertible 1 × 1 convolution."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfp_nvp import checks, shapes
from tfp_nvp.bijectors.bijector import Bijector
from tfp_nvp.bijectors.invertible_linear import InvertibleLinear


class InvertibleConv1x1(Bijector):
    """The same `InvertibleLinear` map of the channels at every pixel.

        z[i, j] = W x[i, j],    log |det ∂z/∂x| = h · w · Σ s

    It starts as a random orthogonal matrix, a generalization of a permutation of the channels.

    Args:
      event_shape: [h, w, c], or the number of channels c alone, for images of any height and width.
      seed: of the matrix it starts as; None for the identity.
      parametrization: "plu" or "qr", as of `InvertibleLinear`.
      dtype: of weights and values.

    >>> layer = InvertibleConv1x1(3, seed=0)
    >>> layer.inverse(tf.ones([5, 2, 2, 3])).shape
    TensorShape([5, 2, 2, 3])

    References: Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039, section 3.2; Hoogeboom, van den Berg & Welling
    (2019), "Emerging Convolutions for Generative Normalizing Flows", arXiv:1901.11137, section 4.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        seed: int | None = None,
        parametrization: str = "plu",
        dtype: Any = "float32",
        name: str = "invertible_conv_1x1",
    ):
        event_shape = checks.channels_or_shape("event_shape", event_shape)
        super().__init__(event_shape=event_shape, dtype=dtype, is_constant_jacobian=True, name=name)
        self.linear = InvertibleLinear(
            event_shape[-1:], seed=seed, start="orthogonal", parametrization=parametrization, dtype=dtype
        )

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        x, log_det = self.linear._forward_and_log_det(z, None)
        return x, self._pixels(z) * log_det

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        z, log_det = self.linear._inverse_and_log_det(x, None)
        return z, self._pixels(x) * log_det

    def _pixels(self, image: tf.Tensor) -> tf.Tensor:
        """h · w of images [..., h, w, c]."""
        sizes = shapes.event_sizes(image, self.forward_min_event_ndims)[:-1]
        return tf.cast(tf.reduce_prod(sizes), image.dtype)
