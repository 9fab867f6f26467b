"""Glow: multi-scale image flows of couplings and 1 × 1 convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import tensorflow_probability as tfp

from tfp_nvp import checks, masks
from tfp_nvp.bijectors import Bijector, Chain, Coupling, Squeeze
from tfp_nvp.conditioners import ConvNet, ZeroConv
from tfp_nvp.flows._image_recipe import ImageParts, ImageRecipe
from tfp_nvp.flows._recipe import Network
from tfp_nvp.transformers import Affine, Transformer

tfd = tfp.distributions


class Glow(ImageRecipe):
    """Levels of: squeeze; steps of ActNorm, 1 × 1 convolution and coupling; half of the channels leave.

    The channels that leave a level have a Gaussian whose mean and deviation a convolution computes from those that
    stay (`learned_prior`), or the base itself. The latent is one vector [h · w · c]: `encode`, `decode` and
    `temperature` are those of every flow.

    Events are images of real numbers, which ActNorm scales to the base; with `num_bins`, as in the presets, pixels in
    [0, 1], such as those of `Dequantized`, which go through a `Quantile` layer first.

    Args:
      event_shape: [h, w, c]; h and w multiples of 2^num_levels.
      num_levels: number of levels, at least 1.
      num_steps: steps per level, at least 1.
      hidden_units: channels of each conditioner's hidden layers; an int, or a list of equal ones.
      activation: a Keras activation.
      transformer: of each coupling: affine as in the paper, `Shift` for additive couplings, or `RationalQuadratic`.
      learned_prior: whether the channels that leave depend on those that stay.
      num_bins: of the `Quantile` layer, for integers their number of levels; None for no `Quantile`, for images of any
        real numbers.
      condition_shape: shape of the condition: [h, w, m] for an image, which is squeezed as the events are and
        joined to their channels; anything else goes to every pixel; or None.
      base: a `tfd.Distribution` over vectors [h · w · c]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners; by default the flow's.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = Glow([4, 4, 1], num_levels=2, num_steps=1, hidden_units=4, seed=0)
    >>> flow.sample(3, seed=1).shape
    TensorShape([3, 4, 4, 1])

    References: Kingma & Dhariwal (2018), "Glow: Generative Flow with Invertible 1×1 Convolutions", arXiv:1807.03039.
    """

    PRESETS: ClassVar = {
        (28, 28, 1): {"num_levels": 2, "num_steps": 16, "hidden_units": 96, "num_bins": 256},
        (32, 32, 3): {"num_levels": 3, "num_steps": 32, "hidden_units": 512, "num_bins": 256},
    }

    def __init__(
        self,
        event_shape: Any,
        *,
        num_levels: int = 2,
        num_steps: int = 8,
        hidden_units: int | Sequence[int] = 64,
        activation: Any = "relu",
        transformer: Transformer | None = None,
        learned_prior: bool = True,
        num_bins: int | None = None,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        num_levels = checks.integer("num_levels", num_levels, 1)
        num_steps = checks.integer("num_steps", num_steps, 1)
        learned_prior = checks.flag("learned_prior", learned_prior)
        transformer = Affine() if transformer is None else transformer
        parts = ImageParts(event_shape, transformer, condition_shape, seed, dtype, network_dtype)
        parts.squeezed(2**num_levels, "2^num_levels", "Use fewer levels")
        network = partial(ConvNet, hidden_units=hidden_units, activation=activation)
        front = parts.quantile(num_bins)
        levels = self._levels_of(parts, front, num_levels, num_steps, network, learned_prior)
        super().__init__(parts, levels, base, name)

    @staticmethod
    def _levels_of(
        parts: ImageParts,
        front: list[Bijector],
        num_levels: int,
        num_steps: int,
        network: Network,
        learned_prior: bool,
    ) -> Iterator[Bijector]:
        """The level next to the data first, after the layers in front."""
        height, width, channels = parts.event_shape
        for level in range(num_levels):
            height, width, channels = height // 2, width // 2, channels * 4
            mask = masks.channel(height, width, channels)
            layers: list[Bijector] = [*front, Squeeze(name=f"squeeze_{level}")]
            front = []
            for step in range(num_steps):
                layers += parts.step(network, mask, f"{level}_{step}", f"coupling_{level}_{step}")
            if learned_prior and level < num_levels - 1:
                prior = ZeroConv(dtype=parts.policy)
                layers.append(Coupling(Affine(), prior, mask, name=f"prior_{level}", **parts.shared))
            yield Chain(layers, name=f"level_{level}")
            channels //= 2
