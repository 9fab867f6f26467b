"""The masked autoencoder for distribution estimation, MADE, as conditioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp.conditioners._masked_network import Apply, MaskedNetwork


@keras.saving.register_keras_serializable("tfp_nvp")
class MADE(MaskedNetwork):
    """Dense layers whose outputs for an element depend on the elements before it only.

        h = activation((M ⊙ W) h + b + C condition)  for each hidden layer, from h = inputs
        outputs = (M' ⊙ V) h + c + D condition,  with V, c and D zero at first

    M connects units of no lower degree, M' outputs of higher degree (`masks.autoregressive`).
    The i-th element has degree i, hidden units have degrees evenly spread over 1, …, d − 1,
    and over 0, …, d − 1 with a condition, on which all units depend.

    Args:
      num_outputs: raw numbers per event, `transformer.num_parameters` times its size d; None for as many as its layer
        needs.
      hidden_units: widths of the hidden layers, at least one; an int for a single layer. In a layer narrower than
        d − 1 (d with a condition) some degrees have no unit: units then can't tell some elements apart, and the last
        element but one may have no effect.
      activation: a Keras activation that works on each number alone.
      order: a permutation of range(d), the elements from first to last: raw numbers of
        element `order[i]` depend on the elements `order[:i]`. None for 0, 1, …, d − 1.
      kernel_regularizer: a Keras regularizer of the hidden layers' matrices.
      seed: an int for reproducible initial weights.
      dtype: a Keras dtype or dtype policy.

    Shapes: inputs [n, d] and condition [n, ...] → [n, num_outputs], all first numbers of
    the d elements, then all second ones.

    >>> MADE(4, hidden_units=[8], order=[1, 0])(keras.ops.ones([3, 2])).shape
    TensorShape([3, 4])

    References: Germain, Gregor, Murray & Larochelle (2015), "MADE: Masked Autoencoder for
    Distribution Estimation", arXiv:1502.03509, equations 8 to 13.
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = (128, 128),
        activation: Any = "relu",
        order: Sequence[int] | None = None,
        kernel_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            num_outputs, activation=activation, order=order, kernel_regularizer=kernel_regularizer, seed=seed, **kwargs
        )
        self.hidden_units = checks.hidden_units("hidden_units", hidden_units)
        count = len(self.hidden_units)
        self.hidden_layers = [self._masked(units, i) for i, units in enumerate(self.hidden_units)]
        self.condition_layers = [self._of_condition(units, count + i) for i, units in enumerate(self.hidden_units)]

    def evaluate(self, inputs: Any, apply: Apply) -> Any:
        h = inputs
        for layer in self.hidden_layers:
            h, context = apply(layer, h)
            h = self.activation(h if context is None else h + context)
        outputs, context = apply(self.output_layer, h)
        return outputs if context is None else outputs + context
