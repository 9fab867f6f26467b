"""Weights of `.keras` files that version 0.1 wrote, by the names that they have there."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FirstEditionLayer(keras.layers.Layer):
    """The weights of a bijector or base under the names of version 0.1; shared, never copied.

    Args:
      module: a bijector or base.
      seen: ids of the variables and layers that other layers already hold; added to.
    """

    def __init__(self, module: Any, seen: set[int], name: str):
        super().__init__(name=name)
        self.networks = [layer for layer in _networks(module) if id(layer) not in seen]
        seen.update(id(layer) for layer in self.networks)
        seen.update(id(variable) for layer in self.networks for variable in layer.variables)
        for variable in _in_order_of_attributes(module):
            if id(variable) not in seen:
                seen.add(id(variable))
                self._track_variable(variable)
        self.built = True


def first_edition_layers(parts: list[Any]) -> list[keras.layers.Layer]:
    """One layer for each part of a distribution, of the class name and name that version 0.1 gave it."""
    seen: set[int] = set()
    names: set[str] = set()
    layers = []
    for part in parts:
        base = name = part.name
        count = 1
        while name in names:
            name, count = f"{base}_{count}", count + 1
        names.add(name)
        kind = type(_class_name(part), (FirstEditionLayer,), {})
        layers.append(kind(part, seen, name))
    return layers
