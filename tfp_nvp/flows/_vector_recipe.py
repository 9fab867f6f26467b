"""The base of recipes of vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
import tensorflow_probability as tfp

from tfp_nvp import checks, masks
from tfp_nvp.bijectors import Bijector, Chain, Elementwise
from tfp_nvp.flows._recipe import Network, Parts, Recipe
from tfp_nvp.transformers import Transformer

tfd = tfp.distributions
#: From the size of a vector, and whether to `flip`, to a mask.
MaskOf: TypeAlias = Callable[..., np.ndarray]
#: What couplings keep; of vectors as of images (Dinh et al. 2017, arXiv:1605.08803, figure 3).
MASK_TYPES: dict[str, MaskOf] = {"channel": masks.half, "checkerboard": masks.alternating}


class VectorRecipe(Recipe):
    """A flow of vectors [d].

    Args:
      parts: the maker of its layers.
      layers: the one next to the data first.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      name: name of its ops; None for the class's, "real_nvp" of RealNVP.
    """

    def __init__(self, parts: VectorParts, layers: Iterable[Bijector], base: tfd.Distribution | None, name: str | None):
        super().__init__(parts, Chain(list(layers)), base, name)


class VectorParts(Parts):
    """Makes the layers of a recipe of vectors. One element, d = 1, has the condition or weights as its parameters."""

    def _checked_shape(self, event_shape: Any) -> tuple[int, ...]:
        return checks.vector_shape("event_shape", event_shape)

    @property
    def d(self) -> int:
        """Number of elements."""
        return self.event_shape[0]

    def seeds(self, num_layers: int) -> list[int]:
        """A seed for each layer."""
        return [self.next_seed() for _ in range(checks.integer("num_layers", num_layers, 1))]

    @staticmethod
    def mask_of(mask_type: str) -> MaskOf:
        """The maker of the masks of a `mask_type`."""
        return MASK_TYPES[checks.choice("mask_type", mask_type, tuple(MASK_TYPES))]

    def elementwise(self, transformer: Transformer, name: str) -> Elementwise:
        """A transformer whose raw numbers are weights."""
        return Elementwise(transformer, self.event_shape, dtype=self.dtype, name=name)

    def coupling(
        self, network: Network, mask: np.ndarray, seed: int, name: str, transformer: Transformer | None = None
    ) -> Bijector:
        if self._stands_alone:
            return self.elementwise(transformer or self.transformer, name)
        return super().coupling(network, mask if self.d > 1 else np.zeros(1, bool), seed, name, transformer)

    def autoregressive(
        self, network: Network, seed: int, name: str, size: int | None = None, policy: Any = None
    ) -> Bijector:
        """As of any event, but the network has the policy that `network_dtype` names."""
        if self._stands_alone:
            return self.elementwise(self.transformer, name)
        return super().autoregressive(network, seed, name, size, policy or self.policy)

    @property
    def _stands_alone(self) -> bool:
        return self.d == 1 and self.shared["condition_shape"] is None
