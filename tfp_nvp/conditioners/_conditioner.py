"""The base classes of conditioners."""

from __future__ import annotations

import abc
from typing import Any

import keras
import numpy as np

from tfp_nvp import checks
from tfp_nvp._captured import Captured
from tfp_nvp.conditioners._convolution import with_a_row
from tfp_nvp.conditioners._joining import join_channels


class Conditioner(Captured, keras.layers.Layer):
    """A network from an event [n, ..., k], and a condition if there is one, to raw numbers [n, ..., num_outputs].

    A subclass makes its output layer in `build`, when `num_outputs` is known. Its constructor's arguments are
    its Keras config.

    Args:
      num_outputs: raw numbers per event, of an image per pixel; None for as many as its layer needs.
      seed: an int for reproducible initial weights, or None.
    """

    num_outputs: Any

    def __init__(self, num_outputs: int | None = None, *, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_outputs = None if num_outputs is None else checks.integer("num_outputs", num_outputs, 1)
        self.seed = checks.seed("seed", seed)

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple:
        return (*inputs_shape[:-1], self._known_outputs())

    def get_config(self) -> dict[str, Any]:
        arguments = {name: _config_of(value) for name, value in self.parameters.items()}
        return arguments | super().get_config() | {"num_outputs": self.num_outputs}

    def _known_outputs(self) -> int:
        if self.num_outputs is None:
            raise ValueError(
                f"{type(self).__name__} needs `num_outputs` where no Coupling or Autoregressive "
                "says how many there are."
            )
        return self.num_outputs

    def _glorot(self, index: int) -> keras.initializers.Initializer:
        """For the `index`-th matrix or kernel."""
        return keras.initializers.GlorotUniform(self._seed(index))

    def _small(self, index: int) -> keras.initializers.Initializer:
        """For the last matrix of a residual block, which starts close to zero."""
        return keras.initializers.RandomUniform(-1e-3, 1e-3, seed=self._seed(index))

    def _seed(self, index: int) -> int | None:
        return None if self.seed is None else self.seed + int(index)


class ImageConditioner(Conditioner, abc.ABC):
    """A network from an image [n, h, w, k] to raw numbers for every pixel; the condition becomes channels."""

    def call(self, inputs: Any, condition: Any = None) -> Any:
        return with_a_row(self.of_image, join_channels(inputs, condition))

    @abc.abstractmethod
    def of_image(self, image: Any) -> Any:
        """The raw numbers of an image, whose channels include the condition's."""


def call_network(network: keras.layers.Layer, event: Any, condition: Any = None) -> Any:
    """Passes the condition by keyword if `call` has such an argument, else in a list `[event, condition]`."""
    if condition is None:
        return network(event)
    if "condition" in network.call_signature_parameters:
        return network(event, condition=condition)
    return network([event, condition])


def _config_of(value: Any) -> Any:
    """An argument as Keras writes it into a config."""
    if isinstance(value, keras.regularizers.Regularizer):
        return keras.regularizers.serialize(value)
    if isinstance(value, keras.layers.Layer):
        return keras.saving.serialize_keras_object(value)
    if callable(value):
        return keras.activations.serialize(value)
    if isinstance(value, (list, tuple, range, np.ndarray)):
        return [_config_of(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
