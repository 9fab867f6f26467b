"""The weights of a model under the names that `.keras` files of version 0.1 have for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_nvp._module import Module, keras_variable
from tfp_nvp.distributions.fittable import StockDistribution


class FirstEditionLayer(keras.layers.Layer):
    """The weights of one part of a distribution in the order of version 0.1; shared, never copied.

    It saved the list of networks within the part, then every other variable in the order of attributes.

    Args:
      part: a bijector or base.
      seen: ids of the variables and networks that other layers already hold; updated.
    """

    def __init__(self, part: Any, seen: set[int], name: str):
        super().__init__(name=name)
        self.networks = [network for network in _networks(part) if id(network) not in seen]
        seen.update(id(network) for network in self.networks)
        seen.update(id(variable.value) for network in self.networks for variable in network.variables)
        for variable in tf.Module.variables.fget(part):
            if id(variable) not in seen:
                seen.add(id(variable))
                self._track_variable(keras_variable(variable))
        self.built = True


def first_edition_layers(parts: Sequence[Module]) -> list[keras.layers.Layer]:
    """Returns a layer for each part of a distribution, with its name in version 0.1."""
    seen: set[int] = set()
    names: set[str] = set()
    layers: list[keras.layers.Layer] = []
    for part in _as_they_were(parts):
        base = name = part.name.rstrip("/").replace("/", "_")
        count = 1
        while name in names:
            name, count = f"{base}_{count}", count + 1
        names.add(name)
        layer_type = type(type(part).__name__.lstrip("_"), (FirstEditionLayer,), {})
        layers.append(layer_type(part, seen, name))
    return layers


def _as_they_were(parts: Sequence[Module]) -> list[Any]:
    """Removes adapters; splits a lone stock TransformedDistribution into its bijector and, if learned, its base."""
    bare = [part.distribution if isinstance(part, StockDistribution) else part for part in parts]
    if bare != list(parts) and len(bare) == 1 and hasattr(bare[0], "bijector"):
        base = bare[0].distribution
        return [bare[0].bijector, *([base] if base.variables else [])]
    return bare


def _networks(part: Any) -> Iterator[keras.layers.Layer]:
    """Yields the conditioners within a part, in the order of version 0.1."""
    networks: dict[int, keras.layers.Layer] = {}
    for module in (part, *part.submodules):
        for value in tf.nest.flatten([value for name, value in sorted(vars(module).items()) if name[:1] != "_"]):
            if isinstance(value, keras.layers.Layer) and not isinstance(value, Module):
                networks[id(value)] = value
    yield from networks.values()
