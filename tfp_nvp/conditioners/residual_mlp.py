"""The residual network of neural spline flows as conditioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp._finite import held
from tfp_nvp.conditioners._conditioner import Conditioner
from tfp_nvp.conditioners._joining import join, joined_size


@keras.saving.register_keras_serializable("tfp_nvp")
class ResidualMLP(Conditioner):
    """A residual network from a vector, and a condition if any, to `num_outputs` raw numbers.

        h = W [inputs, condition] + b
        h = h + B(h, condition)  for each block, where
            B = A₂ activation(A₁ activation(h)),  times sigmoid(C condition) if there is one
        outputs = V h + c,  with V and c zero at first

    Args:
      num_outputs: raw numbers per event, `transformer.num_parameters` times the number of
        elements transformed; None for as many as its layer needs.
      hidden_units: the width of h, at least 1; an int, or a list of equal ones.
      num_blocks: number of blocks, at least 1, of two dense layers each.
      activation: a Keras activation.
      dropout: rate in [0, 1) between the two layers of a block. Active only in the one evaluation of a training step
        of `FlowModel`; everywhere else the layer is deterministic, so that the flow stays invertible.
      kernel_regularizer: a Keras regularizer of the blocks' matrices.
      seed: an int for reproducible initial weights and dropout.
      dtype: a Keras dtype or dtype policy; "mixed_bfloat16" computes in bfloat16.

    Shapes: inputs [n, d] and condition [n, ...] → [n, num_outputs].

    >>> ResidualMLP(4, hidden_units=8)(keras.ops.ones([3, 2])).shape
    TensorShape([3, 4])

    References: Durkan, Bekasov, Murray & Papamakarios (2019), "Neural Spline Flows", arXiv:1906.04032, appendix B.1;
    He et al. (2016), "Identity Mappings in Deep Residual Networks", arXiv:1603.05027 (activation first).
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = 128,
        num_blocks: int = 2,
        activation: Any = "relu",
        dropout: float = 0.0,
        kernel_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_outputs, seed=seed, **kwargs)
        self.hidden_units = checks.width("hidden_units", hidden_units)
        self.num_blocks = checks.integer("num_blocks", num_blocks, 1)
        self.activation = keras.activations.get(activation)
        self.dropout = checks.number("dropout", dropout, checks.FRACTION)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.input_layer = self._dense(0)
        self.first_layers = [self._dense(2 * i + 1, regularized=True) for i in range(num_blocks)]
        # A new block is close to zero, as in the paper's code.
        numbers = range(2, 2 * num_blocks + 1, 2)
        self.second_layers = [self._dense(i, self._small(i), regularized=True) for i in numbers]
        self.gate_layers = [self._dense(2 * num_blocks + 1 + i) for i in range(num_blocks)]
        self.dropout_layer = keras.layers.Dropout(dropout, seed=self.seed, dtype=self.dtype_policy) if dropout else None

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        self.output_layer = keras.layers.Dense(
            self._known_outputs(), kernel_initializer="zeros", dtype=self.dtype_policy
        )
        self.input_layer.build((None, joined_size(inputs_shape, condition_shape)))
        if condition_shape is None:
            self.gate_layers = []
        for layer in self.gate_layers:
            layer.build((None, joined_size(condition_shape)))
        for layer in (*self.first_layers, *self.second_layers, self.output_layer):
            layer.build((None, self.hidden_units))
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        h = self.input_layer(join(inputs, condition))
        for i in range(self.num_blocks):
            update = self.first_layers[i](self.activation(h))
            update = self.activation(update)
            if self.dropout_layer is not None:
                update = self.dropout_layer(update)
            update = self.second_layers[i](update)
            if condition is not None:
                update = update * keras.ops.sigmoid(self.gate_layers[i](join(condition)))
            h = held(h + update)
        return self.output_layer(h)

    def _dense(self, index: int, initializer: Any = None, regularized: bool = False) -> keras.layers.Dense:
        return keras.layers.Dense(
            self.hidden_units,
            kernel_initializer=initializer or self._glorot(index),
            kernel_regularizer=self.kernel_regularizer if regularized else None,
            dtype=self.dtype_policy,
        )
