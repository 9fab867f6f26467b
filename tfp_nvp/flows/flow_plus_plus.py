"""Flow++: image flows of mixture-of-logistics couplings with gated networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import tensorflow_probability as tfp

from tfp_nvp import checks, masks
from tfp_nvp.bijectors import Bijector, Chain, Logit, Squeeze
from tfp_nvp.conditioners import GatedConvNet
from tfp_nvp.flows._image_recipe import ImageParts, ImageRecipe
from tfp_nvp.flows._recipe import Network
from tfp_nvp.transformers import MixtureOfLogistics, Transformer

tfd = tfp.distributions


class FlowPlusPlus(ImageRecipe):
    """Checkerboard couplings, squeeze, channel couplings and checkerboard couplings of the whole image.

    Each coupling is a `MixtureOfLogistics` whose parameters come from a `GatedConvNet`, after an ActNorm and, where
    channels are split, a 1 × 1 convolution. Pixels in [0, 1], such as those of `Dequantized`, go through a logit
    first. With learned noise (`Dequantized(flow, noise=...)`) it is the model of the paper without attention. Wide
    networks need a learning rate warm-up of some hundred steps.

    Args:
      event_shape: [h, w, c]; h and w even, and one of them at least 4.
      num_couplings: of the three parts, each at least 1.
      hidden_units: channels of each conditioner's hidden layers; an int, or a list of equal ones.
      num_blocks: gated blocks of each conditioner.
      transformer: of each coupling; by default a `MixtureOfLogistics` of 8 components.
      alpha: of the `Logit`: 0 for pixels in [0, 1], all that `Dequantized` takes; above 0 it reaches a little beyond;
        None for no `Logit`, for data of other ranges.
      condition_shape: shape of the condition: [h, w, m] for an image, which is squeezed as the events are and
        joined to their channels; anything else goes to every pixel; or None.
      base: a `tfd.Distribution` over vectors [h · w · c]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners; by default the flow's.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = FlowPlusPlus([4, 4, 1], num_couplings=[1, 1, 1], hidden_units=4, num_blocks=1, seed=0)
    >>> flow.sample(3, seed=1).shape
    TensorShape([3, 4, 4, 1])

    References: Ho, Chen, Srinivas, Duan & Abbeel (2019), "Flow++: Improving Flow-Based Generative Models with
    Variational Dequantization and Architecture Design", arXiv:1902.00275, section 4 and its code.
    """

    PRESETS: ClassVar = {
        (28, 28, 1): {"num_couplings": (4, 2, 3), "hidden_units": 32, "num_blocks": 2},
        (32, 32, 3): {
            "num_couplings": (4, 2, 3),
            "hidden_units": 96,
            "num_blocks": 10,
            "transformer": MixtureOfLogistics(num_components=32),
        },
    }

    def __init__(
        self,
        event_shape: Any,
        *,
        num_couplings: Sequence[int] = (4, 2, 3),
        hidden_units: int | Sequence[int] = 32,
        num_blocks: int = 2,
        transformer: Transformer | None = None,
        alpha: float | None = 0.0,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        if not isinstance(num_couplings, (Sequence, np.ndarray)) or np.shape(num_couplings) != (3,):
            given = checks.shown(num_couplings)
            raise ValueError(f"`num_couplings` must be three numbers such as [4, 2, 3]; got {given}.")
        counts = tuple(checks.integer(f"num_couplings[{i}]", count, 1) for i, count in enumerate(num_couplings))
        transformer = MixtureOfLogistics() if transformer is None else transformer
        parts = ImageParts(event_shape, transformer, condition_shape, seed, dtype, network_dtype)
        network = partial(GatedConvNet, hidden_units=hidden_units, num_blocks=num_blocks)
        super().__init__(parts, [Chain(list(self._layers_of(parts, counts, network, alpha)))], base, name)

    @staticmethod
    def _layers_of(
        parts: ImageParts, counts: Sequence[int], network: Network, alpha: float | None
    ) -> Iterator[Bijector]:
        squeezed = parts.squeezed(2, "the squeeze's factor", "Crop", checkered=True)
        if alpha is not None:
            yield Logit(alpha)
        yield from parts.steps(network, masks.checkerboard, parts.event_shape, counts[0], prefix=0)
        yield Squeeze()
        yield from parts.steps(network, masks.channel, squeezed, counts[1], prefix=1, mixed=True)
        yield from parts.steps(network, masks.checkerboard, squeezed, counts[2], prefix=2)
