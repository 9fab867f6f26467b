"""A multilayer perceptron as conditioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp._finite import held
from tfp_nvp.conditioners._conditioner import Conditioner
from tfp_nvp.conditioners._joining import join, joined_size


@keras.saving.register_keras_serializable("tfp_nvp")
class MLP(Conditioner):
    """Dense layers from a vector, and a condition if any, to `num_outputs` raw numbers.

        h = activation(W h + b)  for each hidden layer, from h = [inputs, condition]
        outputs = V h + c,  with V and c zero at first

    Args:
      num_outputs: raw numbers per event, `transformer.num_parameters` times the number of
        elements transformed; None for as many as its layer needs.
      hidden_units: widths of the hidden layers, at least one; an int for a single layer.
      activation: a Keras activation.
      dropout: rate in [0, 1) after each hidden layer. Active only in the one evaluation of a training step of
        `FlowModel`; everywhere else the layer is deterministic, so that the flow stays invertible.
      kernel_regularizer: a Keras regularizer of the hidden layers' matrices.
      seed: an int for reproducible initial weights and dropout.
      dtype: a Keras dtype or dtype policy; "mixed_bfloat16" computes in bfloat16.

    Shapes: inputs [n, d] and condition [n, ...] → [n, num_outputs].

    >>> MLP(4, hidden_units=[8])(keras.ops.ones([3, 2])).shape
    TensorShape([3, 4])
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = (128, 128),
        activation: Any = "relu",
        dropout: float = 0.0,
        kernel_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_outputs, seed=seed, **kwargs)
        self.hidden_units = checks.hidden_units("hidden_units", hidden_units)
        self.activation = keras.activations.get(activation)
        self.dropout = checks.number("dropout", dropout, checks.FRACTION)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.hidden_layers = [
            keras.layers.Dense(
                units,
                activation=self.activation,
                kernel_initializer=self._glorot(i),
                kernel_regularizer=self.kernel_regularizer,
                dtype=self.dtype_policy,
                name=f"hidden_{i}",
            )
            for i, units in enumerate(self.hidden_units)
        ]
        self.dropout_layer = keras.layers.Dropout(dropout, seed=self.seed, dtype=self.dtype_policy) if dropout else None

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        self.output_layer = keras.layers.Dense(
            self._known_outputs(), kernel_initializer="zeros", dtype=self.dtype_policy, name="outputs"
        )
        size = joined_size(inputs_shape, condition_shape)
        for layer in self.hidden_layers:
            layer.build((None, size))
            size = layer.units
        self.output_layer.build((None, size))
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        h = join(inputs, condition)
        for layer in self.hidden_layers:
            h = held(layer(h))
            if self.dropout_layer is not None:
                h = self.dropout_layer(h)
        return self.output_layer(h)
