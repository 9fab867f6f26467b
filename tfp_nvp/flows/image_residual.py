"""Residual flows of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Bijector, Chain, Logit, Squeeze
from tfp_nvp.conditioners import LipschitzConvNet
from tfp_nvp.flows._image_recipe import ImageParts, ImageRecipe
from tfp_nvp.flows._recipe import Network
from tfp_nvp.flows._residual_layers import residual_step

tfd = tfp.distributions


class ImageResidualFlow(ImageRecipe):
    """Residual layers of convolutions, z = x + g(x), after an ActNorm each, on levels of squeezed images.

    Pixels go through a logit first. No channels leave: the latent is all of the last level as one vector.

    A density is one pass, but for images of more than `max_exact` numbers an estimate, unbiased in training
    (`bijectors.Residual`, `flow.log_prob_and_error`); samples are found as fixed points.

    Args:
      event_shape: [h, w, c]; h and w multiples of 2^(num_levels − 1).
      num_levels: number of levels, at least 1; the first is of whole images.
      num_steps: residual layers per level, at least 1.
      hidden_units: channels of each network's hidden layers; an int, or a list of equal ones.
      lipschitz: bound of each network's Lipschitz constant, between 0 and 1.
      max_exact: the largest h · w · c with an exact density, at the cost of as many evaluations of each network.
      num_terms, num_probes, num_certain_terms: of the estimates beyond it, as in `bijectors.Residual`.
      alpha: of the `Logit` layer, in [0, 0.5): 0 for pixels in [0, 1]; None for no such layer, for images of any real
        numbers.
      condition_shape: shape of the condition: [h, w, m] for an image, whose squares become channels as the events' do;
        anything else goes to every pixel; or None.
      base: a `tfd.Distribution` over vectors [h · w · c]; None for the standard normal.
      seed: an int for reproducible initial weights and random signs.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = ImageResidualFlow([4, 4, 1], num_levels=2, num_steps=1, hidden_units=4, seed=0)
    >>> flow.sample(3, seed=1).shape
    TensorShape([3, 4, 4, 1])

    References: Chen, Behrmann, Duvenaud & Jacobsen (2019), "Residual Flows for Invertible Generative Modeling",
    arXiv:1906.02735, section 5 and appendix E.
    """

    PRESETS: ClassVar = {
        (28, 28, 1): {"num_levels": 3, "num_steps": 4, "hidden_units": 32},
        (32, 32, 3): {"num_levels": 3, "num_steps": 16, "hidden_units": 512},
    }

    def __init__(
        self,
        event_shape: Any,
        *,
        num_levels: int = 2,
        num_steps: int = 4,
        hidden_units: int | Sequence[int] = 32,
        lipschitz: float = 0.97,
        max_exact: int = 32,
        num_terms: int = 20,
        num_probes: int = 8,
        num_certain_terms: int = 4,
        alpha: float | None = 0.0,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        num_levels = checks.integer("num_levels", num_levels, 1)
        num_steps = checks.integer("num_steps", num_steps, 1)
        parts = ImageParts(event_shape, None, condition_shape, seed, dtype)
        parts.squeezed(2 ** (num_levels - 1), "2^(num_levels − 1)", "Use fewer levels")
        network = partial(LipschitzConvNet, hidden_units=hidden_units, lipschitz=lipschitz)
        estimate = {
            "max_exact": max_exact,
            "num_terms": num_terms,
            "num_probes": num_probes,
            "num_certain_terms": num_certain_terms,
        }
        layers = [] if alpha is None else [Logit(alpha)]
        layers += self._layers_of(parts, num_levels, num_steps, network, estimate)
        super().__init__(parts, [Chain(layers, name="levels")], base, name)

    @staticmethod
    def _layers_of(
        parts: ImageParts, num_levels: int, num_steps: int, network: Network, estimate: dict[str, int]
    ) -> Iterator[Bijector]:
        height, width, channels = parts.event_shape
        for level in range(num_levels):
            if level:
                height, width, channels = height // 2, width // 2, channels * 4
                yield Squeeze(name=f"squeeze_{level}")
            for step in range(num_steps):
                shape = (height, width, channels)
                yield from residual_step(parts, network, f"{level}_{step}", shape, **estimate)
