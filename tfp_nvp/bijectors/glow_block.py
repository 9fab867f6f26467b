"""A step of Glow."""

from __future__ import annotations

from typing import Any

import keras

from tfp_nvp import checks, masks
from tfp_nvp.bijectors.act_norm import ActNorm
from tfp_nvp.bijectors.chain import Chain
from tfp_nvp.bijectors.coupling import Coupling
from tfp_nvp.bijectors.invertible_conv import InvertibleConv1x1
from tfp_nvp.conditioners import ConvNet
from tfp_nvp.transformers import Affine, Transformer


class GlowBlock(Chain):
    """A step of Glow: an ActNorm, a 1 × 1 convolution, and a coupling that keeps the first half of the channels.

    Events are images [h, w, c] of one size, or of any height and width, which every call may have of its own: no weight
    depends on them.

    Args:
      event_shape: [h, w, c], or the number of channels c alone; c at least 2.
      conditioner: of the coupling, a Keras layer as `Coupling` takes it; None for a `ConvNet()`.
      transformer: of the coupling; affine as in the paper.
      parametrization: of the convolution: "plu" or "qr", as of `InvertibleLinear`.
      condition_shape: shape of the condition, as of `Coupling`, or None.
      seed: of the matrix that the convolution starts as, and of the default conditioner; None for a random one.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> import tensorflow as tf
    >>> block = GlowBlock(4, seed=0)
    >>> block.forward(tf.ones([3, 2, 5, 4])).shape, block.forward(tf.ones([8, 8, 4])).shape
    (TensorShape([3, 2, 5, 4]), TensorShape([8, 8, 4]))

    References: Kingma & Dhariwal (2018), "Glow: Generative Flow with Invertible 1×1 Convolutions", arXiv:1807.03039,
    section 3 and figure 2a.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        conditioner: keras.layers.Layer | None = None,
        transformer: Transformer | None = None,
        parametrization: str = "plu",
        condition_shape: Any = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str = "glow_block",
    ):
        event_shape = checks.channels_or_shape("event_shape", event_shape)
        event_shape = checks.image_shape("event_shape", event_shape, partial=True)
        channels = checks.integer("event_shape[-1]", event_shape[-1], 2)
        seed = checks.seed_or_random("seed", seed)
        coupling = Coupling(
            Affine() if transformer is None else transformer,
            ConvNet(seed=seed, dtype=dtype) if conditioner is None else conditioner,
            masks.half(channels),
            event_shape=event_shape,
            condition_shape=condition_shape,
            dtype=dtype,
        )
        convolution = InvertibleConv1x1(event_shape, seed=seed, parametrization=parametrization, dtype=dtype)
        super().__init__([ActNorm([channels], dtype=dtype), convolution, coupling], name=name)
