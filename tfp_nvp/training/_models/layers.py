"""How Keras sees the weights of a distribution."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors import Chain, Multiscale
from tfp_nvp.distributions import Dequantized

tfd = tfp.distributions


class ModuleLayer(keras.layers.Layer):
    """The weights of a bijector or distribution as a Keras layer; shared, never copied.

    Holds the Keras layers found in the module as sublayers, so that their losses count, and
    wraps every other `tf.Variable` in a `keras.Variable` over the same storage.

    Args:
      module: a `tf.Module`.
      seen: ids of the `tf.Variable`s and layers that other layers already hold; added to.
    """

    def __init__(self, module: tf.Module, seen: set[int], name: str):
        super().__init__(name=name, dtype=getattr(module.dtype, "name", None) or "float32")
        self.networks = [layer for layer in _keras_layers(module) if id(layer) not in seen]
        seen.update(id(layer) for layer in self.networks)
        seen.update(id(variable.value) for layer in self.networks for variable in layer.variables)
        for variable in module.variables:
            if id(variable) not in seen:
                seen.add(id(variable))
                shared = keras.Variable(
                    variable,
                    trainable=variable.trainable,
                    dtype=variable.dtype.name,
                    name=variable.name.split(":")[0].replace("/", "_"),
                )
                self._track_variable(shared)
        self.built = True


def layers_of(distribution: tfd.Distribution) -> list[keras.layers.Layer]:
    """One Keras layer for the base, if it has weights, and for each bijector, in order from the data.

    A layer's class has the name of what it stands for, for `summary()`.
    """
    if isinstance(distribution, Dequantized):
        parts = _parts_of(distribution.flow) + ([] if distribution.noise is None else [distribution.noise])
    else:
        parts = _parts_of(distribution)
    seen: set[int] = set()
    names: set[str] = set()
    return [_layer(part, seen, names) for part in parts]


def _layer(part: tf.Module, seen: set[int], names: set[str]) -> ModuleLayer:
    base = name = part.name.rstrip("/").replace("/", "_") or type(part).__name__.lower()
    count = 1
    while name in names:
        name, count = f"{base}_{count}", count + 1
    names.add(name)
    kind = type(type(part).__name__.lstrip("_"), (ModuleLayer,), {})
    return kind(part, seen, name)


def _parts_of(distribution: tfd.Distribution) -> list[tf.Module]:
    parts = _parts(getattr(distribution, "bijector", None))
    if not parts:
        return [distribution]
    base = distribution.distribution
    return parts + ([base] if base.variables or _keras_layers(base) else [])


def _parts(bijector: Any) -> list[tf.Module]:
    if isinstance(bijector, Chain):
        return [part for inner in bijector.bijectors for part in _parts(inner)]
    if isinstance(bijector, Multiscale):
        return [part for level in bijector.levels for part in _parts(level)]
    return [] if bijector is None else [bijector]


def _keras_layers(module: tf.Module) -> list[keras.layers.Layer]:
    found: dict[int, keras.layers.Layer] = {}
    for part in (module, *module.submodules):
        for value in tf.nest.flatten(list(vars(part).values())):
            if isinstance(value, keras.layers.Layer):
                found[id(value)] = value
    return list(found.values())
