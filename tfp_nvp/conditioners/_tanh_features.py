"""Features of a number: its position relative to learned thresholds."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfp_nvp import checks


@keras.saving.register_keras_serializable("tfp_nvp")
class TanhFeatures(keras.layers.Layer):
    """tanh(aⱼ x + bⱼ), j = 1 … m, of each number, with a and b shared by all: at first thresholds spread over [−2, 6].

    The sum over pixels of a first convolution loses the values of single pixels. These features keep them, and are
    bounded. `Quantile` maps grey levels other than black into the interval.

    Args:
      num_features: m, at least 1.

    Shapes: [..., k] → [..., k · m].
    """

    def __init__(self, num_features: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_features = checks.integer("num_features", num_features, 1)

    def build(self, inputs_shape: Any) -> None:
        self.scale = self.add_weight(shape=(self.num_features,), initializer="ones", name="scale")
        self.shift = self.add_weight(shape=(self.num_features,), initializer="zeros", name="shift")
        self.shift.assign(-np.linspace(-2.0, 6.0, 2 * self.num_features + 1)[1::2])
        self.built = True

    def call(self, inputs: Any) -> Any:
        scale, shift = (keras.ops.expand_dims(weight, -1) for weight in (self.scale, self.shift))
        features = keras.ops.tanh(scale * keras.ops.expand_dims(inputs, -2) + shift)
        return keras.ops.reshape(features, (-1, *self.compute_output_shape(inputs.shape)[1:]))

    def compute_output_shape(self, inputs_shape: Any) -> tuple:
        return (*inputs_shape[:-1], self.num_features * inputs_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"num_features": self.num_features}
