"""The base of recipes of maps of a whole vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Bijector
from tfp_nvp.bijectors._amortized import Amortized
from tfp_nvp.conditioners import MLP
from tfp_nvp.flows._vector_recipe import VectorParts, VectorRecipe

tfd = tfp.distributions


class AmortizedRecipe(VectorRecipe):
    """An ActNorm, then maps of a whole vector, one after the other; a recipe names their class in `_map`."""

    _map: ClassVar[type[Amortized]]

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 16,
        hidden_units: int | Sequence[int] = (64, 64),
        activation: Any = "relu",
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        parts = VectorParts(event_shape, None, condition_shape, seed, dtype)
        layers = self._layers_of(parts, num_layers, checks.hidden_units("hidden_units", hidden_units), activation)
        super().__init__(parts, layers, base, name)

    def _layers_of(
        self, parts: VectorParts, num_layers: int, widths: Sequence[int], activation: Any
    ) -> Iterator[Bijector]:
        yield parts.act_norm("act_norm")
        for i, seed in enumerate(parts.seeds(num_layers)):
            network = None
            if parts.shared["condition_shape"] is not None:
                network = MLP(hidden_units=widths, activation=activation, seed=seed, dtype=parts.policy)
            name = f"{self._map.__name__.lower()}_{i}"
            options = self._options(i)
            yield self._map(parts.event_shape, conditioner=network, seed=seed, name=name, **options, **parts.shared)

    def _options(self, number: int) -> Mapping[str, Any]:
        """Further arguments of the map of this number."""
        return {}
