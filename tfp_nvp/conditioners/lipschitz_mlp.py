"""A multilayer perceptron with a known Lipschitz constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.conditioners._joining import join, joined_size
from tfp_nvp.conditioners._lipschitz import LipschitzNetwork
from tfp_nvp.conditioners._spectral import spectral_bound


@keras.saving.register_keras_serializable("tfp_nvp")
class LipschitzMLP(LipschitzNetwork):
    """Dense layers from a vector, and a condition if any, whose outputs move less than the vector: for `Residual`.

        h = W₁ inputs + C condition + b₁
        h = Wᵢ lip_swish(h) + bᵢ  for i = 2, …, L,  with W_L and b_L zero at first
        lip_swish(h) = h · sigmoid(β h) / 1.1,  with a weight β > 0 for each layer

    Each Wᵢ is a matrix of weights divided by max(1, B / lipschitz^(1/L)), where B bounds its spectral norm from above
    (by at most 2 percent, up to a width of 128). B is computed anew at every use, so that the bound holds for any
    weights: those that an optimizer, a file or you have set. So ‖g(a, c) − g(b, c)‖ ≤ lipschitz ‖a − b‖, but for
    rounding. The condition's C is not bounded.

    Args:
      num_outputs: outputs per event, as many as there are inputs; None for as many as its layer needs.
      hidden_units: widths of the hidden layers, at least one; an int for a single layer.
      lipschitz: bound of the network's Lipschitz constant, between 0 and 1. Closer to 1, a `Residual` can do more, and
        its samples and estimates take more steps.
      seed: an int for reproducible initial weights.
      dtype: a Keras dtype; the same as that of its `Residual`.

    Shapes: inputs [n, d] and condition [n, ...] → [n, num_outputs].

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> LipschitzMLP(2, hidden_units=[8])(keras.ops.ones([3, 2])).shape
    TensorShape([3, 2])

    References: Behrmann, Grathwohl, Chen, Duvenaud & Jacobsen (2019), "Invertible Residual Networks",
    arXiv:1811.00995, equation 2; Chen et al. (2019), "Residual Flows for Invertible Generative Modeling",
    arXiv:1906.02735, section 3.3 for LipSwish; `_spectral.py` for the bound, which replaces their power iteration.
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = (128, 128),
        lipschitz: float = 0.97,
        seed: int | None = None,
        **kwargs: Any,
    ):
        widths = checks.hidden_units("hidden_units", hidden_units)
        super().__init__(num_outputs, lipschitz, widths, seed, **kwargs)
        self.hidden_units = widths

    def _kernel_shape(self, index: int, num_inputs: int, num_outputs: int) -> tuple[int, ...]:
        return num_inputs, num_outputs

    def _num_inputs(self, inputs_shape: Any, condition_shape: Any) -> tuple[int, int]:
        return inputs_shape[-1], joined_size(condition_shape)

    def _bound(self, kernel: tf.Tensor) -> tf.Tensor:
        return spectral_bound(kernel)

    def _apply(self, kernel: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        return tf.matmul(h, kernel)

    def _of_condition(self, inputs: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        return join(condition)
