"""Images one sub-lattice of pixels after the other, each given those before it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Autoregressive, Bijector, Chain, Coupling, Multiscale, Quantile, Squeeze
from tfp_nvp.conditioners import GatedConvNet, ResidualMADE
from tfp_nvp.flows.image_recipe import ImageRecipe, squeezable
from tfp_nvp.flows.recipe import base_of, known_seed, policy_of, seeds
from tfp_nvp.transformers import RationalQuadratic, Transformer

tfb, tfd = tfp.bijectors, tfp.distributions

#: Features of each pixel that a group's network sees.
NUM_FEATURES = 4

#: Splines in float64, which inverts them to 1e-8 of a grey level, and large networks in float32.
EXACT = {"dtype": "float64", "network_dtype": "float32"}


class SubscaleFlow(ImageRecipe):
    """An image's pixels in f² interleaved sub-images, each transformed given all coarser ones.

        p(x) = p(g₁) p(g₂ | g₁) … p(g_m | g₁, …, g₍ₘ₋₁₎)

    The sub-images, of every f-th row and column, are the channels of one squeeze, in an order in which each
    lies as far as can be from those before it. Group i is a coupling whose network sees groups 1 … i − 1 of the whole
    image; what it has transformed leaves. The first group is autoregressive. So dependence is lost only
    within a group, between pixels that lie apart and whose surroundings are known; all networks work on the
    squeezed image, which is small; and density and samples cost one evaluation of each network.

    Pixels in [0, 1], as `Dequantized` makes them, go through a `Quantile` layer first.

    Args:
      event_shape: [h, w, c]; h and w multiples of `factor`.
      factor: f, at least 2.
      num_groups: m, from 2 to c · f²: groups of channels of equal number, or nearly so.
      hidden_units: channels of each conditioner's hidden layers.
      num_blocks: residual blocks of each conditioner.
      transformer: what each coupling applies to its group; a spline by default.
      num_bins: of the `Quantile` layer, for integers their number of levels; None for no such layer, for data of
        other ranges.
      condition_shape: shape of the condition: [h, w, m] for an image, which is squeezed as the events are and
        joined to their channels; anything else goes to every pixel; or None.
      base: a `tfd.Distribution` over vectors [h · w · c]; None for the standard logistic, what `Quantile` makes of
        data that are independent.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners of all groups but the first; that of the flow by default. With
        dtype="float64" and network_dtype="float32" it costs little more than float32, and inverts exactly: splines
        have steep places, which magnify what float32 rounds.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = SubscaleFlow([4, 4, 1], factor=2, num_groups=3, hidden_units=4, num_blocks=1, seed=0)
    >>> flow.sample(3, seed=1).shape
    TensorShape([3, 4, 4, 1])

    References: Reed et al. (2017), "Parallel Multiscale Autoregressive Density Estimation", arXiv:1703.03664;
    Menick & Kalchbrenner (2019), "Generating High Fidelity Images with Subscale Pixel Networks and Multidimensional
    Upscaling", arXiv:1812.01608, for the order; Dinh, Sohl-Dickstein & Bengio (2017), arXiv:1605.08803, for couplings
    whose part leaves.
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
        hidden_units: int = 32,
        num_blocks: int = 2,
        transformer: Transformer | None = None,
        num_bins: int | None = 256,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str = "subscale_flow",
    ):
        seed = known_seed(seed)
        factor = checks.integer("factor", factor, 2)
        event_shape = squeezable(event_shape, factor, "`factor`", "Use another factor")
        height, width, channels = event_shape
        height, width, channels = height // factor, width // factor, channels * factor**2
        hidden_units = checks.integer("hidden_units", hidden_units, 1)
        num_blocks = checks.integer("num_blocks", num_blocks, 1)
        num_groups = checks.integer("num_groups", num_groups, 2)
        if num_groups > channels:
            raise ValueError(
                f"`num_groups` must be at most the number of channels after the squeeze, {channels}; got {num_groups}."
            )
        if transformer is None:
            transformer = RationalQuadratic(num_bins=8, bound=10.0, min_width=1e-4, min_height=1e-4)
        transformer = checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.Affine()")
        condition_shape = None if condition_shape is None else checks.shape("condition_shape", condition_shape)
        options = {"condition_shape": condition_shape, "dtype": dtype}
        groups = np.array_split(np.arange(channels), num_groups)
        numbers = seeds(seed, num_groups)
        front: list[Bijector] = [] if num_bins is None else [Quantile(event_shape, num_bins=num_bins, dtype=dtype)]
        front.append(Squeeze(factor, order="dispersed"))
        levels, leaving = [], []
        for i in range(num_groups - 1, 0, -1):
            size = len(groups[i])
            network = GatedConvNet(
                transformer.num_parameters * size,
                hidden_units=hidden_units,
                num_blocks=num_blocks,
                layer_norm=False,
                kernel_size=1,
                num_features=NUM_FEATURES,
                seed=numbers[i],
                dtype=policy_of(dtype, network_dtype),
            )
            mask = np.broadcast_to(np.arange(groups[i][-1] + 1) < groups[i][0], (height, width, groups[i][-1] + 1))
            levels.append(Chain([*front, Coupling(transformer, network, mask, name=f"group_{i}", **options)]))
            leaving.append(size)
            front = []
        first = (height, width, len(groups[0]))
        size = math.prod(first)
        network = ResidualMADE(
            transformer.num_parameters * size,
            hidden_units=4 * hidden_units,
            num_blocks=num_blocks,
            seed=numbers[0],
            dtype=policy_of(dtype),
        )
        levels.append(
            Chain(
                [
                    tfb.Reshape(first, [size]),
                    Autoregressive(transformer, network, [size], name="group_0", **options),
                    tfb.Reshape([size], first),
                ]
            )
        )
        if base is None:
            zero = tf.zeros([], dtype)
            base = tfd.Sample(tfd.Logistic(zero, tf.ones_like(zero)), [math.prod(event_shape)])
        super().__init__(
            base_of(base, (math.prod(event_shape),), dtype),
            Multiscale(levels, event_shape, leaving=leaving),
            name=name,
        )
