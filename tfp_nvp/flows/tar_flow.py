"""TarFlow: transformers that are autoregressive over the patches of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Bijector, Chain, Reverse, Squeeze
from tfp_nvp.conditioners import CausalTransformer
from tfp_nvp.flows._image_recipe import ImageParts, ImageRecipe
from tfp_nvp.transformers import Affine, Transformer

tfb, tfd = tfp.bijectors, tfp.distributions


class TarFlow(ImageRecipe):
    """Affine autoregressive layers over the patches of an image, whose networks are causal transformers.

    An image is a sequence of patches, row by row. A layer moves every number of a patch by a scale and a shift that
    depend on the patches before it; the next layer goes the other way, from the last patch to the first. A density is
    one evaluation of every network; a sample takes as many as there are patches, so it is the density that is fast.

    The paper adds noise of a fixed width to images, and takes it off samples by the gradient of the density: that is
    the user's to do. Pixels of [0, 1] that are integers go through `Dequantized`, with `num_bins`.

    Args:
      event_shape: [h, w, c].
      patch_size: side of a patch, at least 2; it must divide h and w.
      num_layers: autoregressive layers, at least 1.
      hidden_units, num_blocks, num_heads, activation: of each layer's `conditioners.CausalTransformer`.
      transformer: of the layers; affine as in the paper.
      num_bins: None; or the number of bins of a `Quantile` layer next to pixels of [0, 1], as in `Glow`.
      condition_shape: shape of the condition, which every patch sees, or None.
      base: a `tfd.Distribution` over vectors [h · w · c]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = TarFlow([4, 4, 1], num_layers=2, hidden_units=8, num_blocks=1, num_heads=2, seed=0)
    >>> flow.sample(3, seed=1).shape
    TensorShape([3, 4, 4, 1])

    References: Zhai, Zhang, Nakkiran, Berthelot, Gu, Zheng, Chen, Bautista, Jaitly & Susskind (2024), "Normalizing
    Flows are Capable Generative Models", arXiv:2412.06329, section 3.
    """

    PRESETS: ClassVar = {
        (28, 28, 1): {"patch_size": 4, "num_layers": 4, "hidden_units": 128, "num_bins": 256},
        (32, 32, 3): {"patch_size": 4, "num_layers": 8, "hidden_units": 256, "num_blocks": 4, "num_bins": 256},
    }

    def __init__(
        self,
        event_shape: Any,
        *,
        patch_size: int = 2,
        num_layers: int = 4,
        hidden_units: int = 64,
        num_blocks: int = 2,
        num_heads: int = 4,
        activation: Any = "gelu",
        transformer: Transformer | None = None,
        num_bins: int | None = None,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        patch_size = checks.integer("patch_size", patch_size, 2)
        num_layers = checks.integer("num_layers", num_layers, 1)
        transformer = Affine() if transformer is None else transformer
        parts = ImageParts(event_shape, transformer, condition_shape, seed, dtype)
        squeezed = parts.squeezed(patch_size, "patch_size", "Use a patch that fits")
        network = partial(
            CausalTransformer,
            num_tokens=squeezed[0] * squeezed[1],
            hidden_units=hidden_units,
            num_blocks=num_blocks,
            num_heads=num_heads,
            activation=activation,
        )
        front = [*parts.quantile(num_bins), Squeeze(patch_size), parts.act_norm("act_norm", squeezed)]
        size = math.prod(squeezed)
        sequence = Chain(list(_layers(parts, num_layers, network, size)), name="sequence")
        patches = [tfb.Reshape(squeezed, [size]), sequence, tfb.Reshape([size], squeezed)]
        super().__init__(parts, [Chain([*front, *patches], name="patches")], base, name)


def _layers(parts: ImageParts, num_layers: int, network: Any, size: int) -> Iterator[Bijector]:
    for i in range(num_layers):
        if i > 0:
            yield Reverse(name=f"reverse_{i}")
        yield parts.autoregressive(network, parts.next_seed(), f"autoregressive_{i}", size)
