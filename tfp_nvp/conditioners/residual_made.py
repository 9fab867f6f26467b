"""The residual masked network of autoregressive neural spline flows as conditioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp.conditioners._masked_network import Apply, MaskedNetwork


@keras.saving.register_keras_serializable("tfp_nvp")
class ResidualMADE(MaskedNetwork):
    """A masked residual network, whose outputs for an element depend on the elements before it only.

        h = W inputs + b + C condition
        h = h + B(h, condition)  for each block, where
            B = A₂ activation(A₁ activation(h)),  times sigmoid(G condition) if there is one
        outputs = V h + c + D condition,  with V, c and D zero at first

    W, A₁, A₂ and V are masked as in `MADE`. All hidden layers have the same width, so that
    the units that a block adds have the same degrees.

    Args:
      num_outputs: raw numbers per event, `transformer.num_parameters` times its size d; None for as many as its layer
        needs.
      hidden_units: the width of h, at least 1; an int, or a list of equal ones.
      num_blocks: number of blocks, at least 1, of two masked layers each.
      activation: a Keras activation that works on each number alone.
      order: a permutation of range(d), the elements from first to last: raw numbers of
        element `order[i]` depend on the elements `order[:i]`. None for 0, 1, …, d − 1.
      kernel_regularizer: a Keras regularizer of the hidden layers' matrices.
      seed: an int for reproducible initial weights.
      dtype: a Keras dtype or dtype policy.

    Shapes: inputs [n, d] and condition [n, ...] → [n, num_outputs], all first numbers of
    the d elements, then all second ones.

    >>> ResidualMADE(4, hidden_units=8)(keras.ops.ones([3, 2])).shape
    TensorShape([3, 4])

    References: Durkan, Bekasov, Murray & Papamakarios (2019), "Neural Spline Flows",
    arXiv:1906.04032, appendix B.1; Germain et al. (2015), "MADE", arXiv:1502.03509.
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = 128,
        num_blocks: int = 2,
        activation: Any = "relu",
        order: Sequence[int] | None = None,
        kernel_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            num_outputs, activation=activation, order=order, kernel_regularizer=kernel_regularizer, seed=seed, **kwargs
        )
        self.hidden_units = checks.width("hidden_units", hidden_units)
        self.num_blocks = checks.integer("num_blocks", num_blocks, 1)
        self.hidden_layers = [self._masked(self.hidden_units, 0)]
        self.condition_layers = [self._of_condition(self.hidden_units, 2 * num_blocks + 1)]
        for i in range(num_blocks):
            first, second = 2 * i + 1, 2 * i + 2
            # A new block is close to zero, as in the paper's code.
            self.hidden_layers += [
                self._masked(self.hidden_units, first),
                self._masked(self.hidden_units, second, self._small(second)),
            ]
            gate = self._of_condition(self.hidden_units, 2 * num_blocks + 2 + i, use_bias=True, activation="sigmoid")
            self.condition_layers += [None, gate]

    def evaluate(self, inputs: Any, apply: Apply) -> Any:
        h, context = apply(self.hidden_layers[0], inputs)
        h = h if context is None else h + context
        for first, second in zip(self.hidden_layers[1::2], self.hidden_layers[2::2], strict=True):
            update, _ = apply(first, self.activation(h))
            update, gate = apply(second, self.activation(update))
            h = h + (update if gate is None else update * gate)
        outputs, context = apply(self.output_layer, h)
        return outputs if context is None else outputs + context
