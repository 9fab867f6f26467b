"""RealNVP for images: checkerboards, squeezes, channels, several scales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import tensorflow_probability as tfp

from tfp_nvp import checks, masks
from tfp_nvp.bijectors import Bijector, Chain, Logit, Squeeze
from tfp_nvp.conditioners import ResidualConvNet
from tfp_nvp.flows._image_recipe import ImageParts, ImageRecipe
from tfp_nvp.flows._recipe import Network
from tfp_nvp.transformers import Affine, Transformer

tfd = tfp.distributions


class ImageRealNVP(ImageRecipe):
    """Levels of: three checkerboard couplings, squeeze, three channel couplings; half of the channels leave.

    The last level is four checkerboard couplings. Pixels in [0, 1], such as those of `Dequantized`, go through a logit
    first. ActNorm replaces the paper's batch normalization.

    Args:
      event_shape: [h, w, c]; h and w multiples of 2^(num_levels − 1).
      num_levels: number of levels, at least 1.
      hidden_units: channels of each conditioner's hidden layers in the first level, an int or a list of equal ones;
        twice as many in each next one.
      num_blocks: residual blocks of each conditioner.
      activation: a Keras activation.
      transformer: of each coupling; affine as in the paper.
      alpha: of the `Logit`: 0 for pixels in [0, 1], all that `Dequantized` takes; 0.05 in the paper, which reaches a
        little beyond; None for no `Logit`, for data of other ranges.
      condition_shape: shape of the condition: [h, w, m] for an image, which is squeezed as the events are and
        joined to their channels; anything else goes to every pixel; or None.
      base: a `tfd.Distribution` over vectors [h · w · c]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners; by default the flow's.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = ImageRealNVP([4, 4, 1], num_levels=2, hidden_units=4, num_blocks=1, seed=0)
    >>> flow.sample(3, seed=1).shape
    TensorShape([3, 4, 4, 1])

    References: Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP",
    arXiv:1605.08803, sections 3.4 to 3.6 and 4.1.
    """

    PRESETS: ClassVar = {
        (28, 28, 1): {"num_levels": 3, "hidden_units": 32, "num_blocks": 2},
        (32, 32, 3): {"num_levels": 3, "hidden_units": 64, "num_blocks": 8},
    }

    def __init__(
        self,
        event_shape: Any,
        *,
        num_levels: int = 2,
        hidden_units: int | Sequence[int] = 32,
        num_blocks: int = 2,
        activation: Any = "relu",
        transformer: Transformer | None = None,
        alpha: float | None = 0.0,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        num_levels = checks.integer("num_levels", num_levels, 1)
        hidden_units = checks.width("hidden_units", hidden_units)
        transformer = Affine() if transformer is None else transformer
        parts = ImageParts(event_shape, transformer, condition_shape, seed, dtype, network_dtype)
        parts.squeezed(2 ** (num_levels - 1), "2^(num_levels − 1)", "Use fewer levels", checkered=True)
        network = partial(ResidualConvNet, num_blocks=num_blocks, activation=activation)
        networks = [partial(network, hidden_units=hidden_units * 2**level) for level in range(num_levels)]
        super().__init__(parts, self._levels_of(parts, networks, alpha), base, name)

    @staticmethod
    def _levels_of(parts: ImageParts, networks: Sequence[Network], alpha: float | None) -> Iterator[Bijector]:
        height, width, channels = parts.event_shape
        layers: list[Bijector] = [] if alpha is None else [Logit(alpha)]
        last = len(networks) - 1
        for level, network in enumerate(networks):
            count = 4 if level == last else 3
            layers += parts.steps(network, masks.checkerboard, (height, width, channels), count, prefix=level)
            if level < last:
                height, width, channels = height // 2, width // 2, channels * 4
                layers.append(Squeeze(order="checkerboard", name=f"squeeze_{level}"))
                layers += parts.steps(network, masks.channel, (height, width, channels), 3, prefix=level)
            yield Chain(layers, name=f"level_{level}")
            layers, channels = [], channels // 2
