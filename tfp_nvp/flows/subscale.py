"""Sub-images of interleaved pixels, one after the other, each given those before it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Bijector, Chain, Squeeze
from tfp_nvp.conditioners import GatedConvNet, ResidualMADE
from tfp_nvp.flows._image_recipe import ImageParts, ImageRecipe
from tfp_nvp.transformers import RationalQuadratic, Transformer

tfb, tfd = tfp.bijectors, tfp.distributions

#: Features of each pixel in a group's network.
NUM_FEATURES = 4

#: The couplings' transformer by default.
SPLINE = RationalQuadratic(num_bins=8, bound=10.0, min_width=1e-4, min_height=1e-4)

#: Splines in float64, which inverts them to 1e-8 of a grey level, and large networks in float32.
EXACT = {"dtype": "float64", "network_dtype": "float32"}


class SubscaleFlow(ImageRecipe):
    """An image's pixels in f² interleaved sub-images, each transformed given all coarser ones.

        p(x) = p(g₁) p(g₂ | g₁) … p(g_m | g₁, …, g₍ₘ₋₁₎)

    The sub-images, of every f-th row and column, are the channels of one squeeze, each as far as possible from those
    before it. Group i is transformed by a coupling whose network sees groups 1 … i − 1 of the whole image, and leaves.
    The first group is autoregressive. So dependence is lost only within a group, between distant pixels whose
    surroundings are known; all networks work on the small squeezed image; and density and samples cost one evaluation
    of each network.

    Pixels in [0, 1], such as those of `Dequantized`, go through a `Quantile` layer first.

    Args:
      event_shape: [h, w, c]; h and w multiples of `factor`.
      factor: f, at least 2.
      num_groups: m, from 2 to c · f²: groups of channels of equal number, or nearly so.
      hidden_units: channels of each conditioner's hidden layers; an int, or a list of equal ones.
      num_blocks: residual blocks of each conditioner.
      transformer: of each coupling; a spline by default.
      num_bins: of the `Quantile` layer, for integers their number of levels; None for no `Quantile`, for data of other
        ranges.
      condition_shape: shape of the condition: [h, w, m] for an image, which is squeezed as the events are and
        joined to their channels; anything else goes to every pixel; or None.
      base: a `tfd.Distribution` over vectors [h · w · c]; None for the standard logistic, the distribution of each
        element after `Quantile`.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners of all groups but the first; by default the flow's. With dtype="float64"
        and network_dtype="float32" it costs little more than float32, and inverts exactly: splines have steep places,
        which magnify rounding errors of float32.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = SubscaleFlow([4, 4, 1], factor=2, num_groups=3, hidden_units=4, num_blocks=1, seed=0)
    >>> flow.sample(3, seed=1).shape
    TensorShape([3, 4, 4, 1])

    References: Reed et al. (2017), "Parallel Multiscale Autoregressive Density Estimation", arXiv:1703.03664; Menick &
    Kalchbrenner (2019), "Generating High Fidelity Images with Subscale Pixel Networks and Multidimensional Upscaling",
    arXiv:1812.01608, for the order; Dinh, Sohl-Dickstein & Bengio (2017), arXiv:1605.08803, for channels that leave.
    """

    PRESETS: ClassVar = {
        (28, 28, 1): {"factor": 4, "num_groups": 16, "hidden_units": 32, "num_blocks": 2, **EXACT},
        (32, 32, 3): {"factor": 4, "num_groups": 48, "hidden_units": 64, "num_blocks": 2, **EXACT},
    }

    def __init__(
        self,
        event_shape: Any,
        *,
        factor: int = 4,
        num_groups: int = 16,
        hidden_units: int | Sequence[int] = 32,
        num_blocks: int = 2,
        transformer: Transformer | None = None,
        num_bins: int | None = 256,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        factor = checks.integer("factor", factor, 2)
        num_groups = checks.integer("num_groups", num_groups, 2)
        transformer = SPLINE if transformer is None else transformer
        parts = ImageParts(event_shape, transformer, condition_shape, seed, dtype, network_dtype)
        squeezed = parts.squeezed(factor, "`factor`", "Use another factor")
        if num_groups > squeezed[-1]:
            raise ValueError(
                f"`num_groups` must be at most the number of channels after the squeeze, {squeezed[-1]}; "
                f"got {num_groups}."
            )
        front = [*parts.quantile(num_bins), Squeeze(factor, order="dispersed")]
        groups = np.array_split(np.arange(squeezed[-1]), num_groups)
        levels = self._levels_of(parts, front, groups, squeezed, hidden_units, num_blocks)
        super().__init__(parts, levels, base, name, leaving=[len(group) for group in groups[:0:-1]])

    @staticmethod
    def _levels_of(
        parts: ImageParts,
        front: list[Bijector],
        groups: list[np.ndarray],
        squeezed: tuple[int, int, int],
        hidden_units: int | Sequence[int],
        num_blocks: int,
    ) -> Iterator[Bijector]:
        """The last group's level first, after the layers in front."""
        height, width, _ = squeezed
        seeds = [parts.next_seed() for _ in groups]
        later = partial(
            GatedConvNet,
            hidden_units=hidden_units,
            num_blocks=num_blocks,
            layer_norm=False,
            kernel_size=1,
            num_features=NUM_FEATURES,
        )
        for i in range(len(groups) - 1, 0, -1):
            row = np.arange(groups[i][-1] + 1) < groups[i][0]
            mask = np.broadcast_to(row, (height, width, len(row)))
            yield Chain([*front, parts.coupling(later, mask, seeds[i], f"group_{i}")])
            front = []
        shape = (height, width, len(groups[0]))
        size = math.prod(shape)
        first = partial(
            ResidualMADE, hidden_units=4 * checks.width("hidden_units", hidden_units), num_blocks=num_blocks
        )
        layer = parts.autoregressive(first, seeds[0], "group_0", size)
        yield Chain([tfb.Reshape(shape, [size]), layer, tfb.Reshape([size], shape)])

    @classmethod
    def _default_base(cls, size: int, dtype: tf.DType) -> tfd.Distribution:
        return tfd.Sample(tfd.Logistic(tf.zeros([], dtype), tf.ones([], dtype)), [size])
