"""A user's loss function in a model's dtype."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfp_nvp")
class LossFunction(keras.losses.Loss):
    """A user's loss function, called in a model's dtype.

    Args:
      function: from events and log-probs to a loss, or one for each row.
      dtype: of both.
    """

    def __init__(self, function: Any, *, dtype: str, name: str = "loss_function"):
        super().__init__(name=name, dtype=dtype)
        self._function = function

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return self._function(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        function = keras.saving.serialize_keras_object(self._function)
        return {"function": function, "dtype": self.dtype, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LossFunction:
        return cls(**{**config, "function": keras.saving.deserialize_keras_object(config["function"])})
