"""A convolutional network with a known Lipschitz constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.conditioners._convolution import with_a_row
from tfp_nvp.conditioners._joining import join_channels, joined_channels
from tfp_nvp.conditioners._lipschitz import LipschitzNetwork
from tfp_nvp.conditioners._spectral import convolution_bound


@keras.saving.register_keras_serializable("tfp_nvp")
class LipschitzConvNet(LipschitzNetwork):
    """Convolutions, 3 × 3, 1 × 1 and 3 × 3, of an image, whose outputs move less than the image: for `Residual`.

        h = K₁ ∗ inputs + C ∗ condition + b₁
        h = K₂ lip_swish(h) + b₂
        outputs = K₃ ∗ lip_swish(h) + b₃,  with K₃ and b₃ zero at first

    Each Kᵢ is a kernel of weights divided by max(1, B / lipschitz^(1/3)), where B bounds the spectral norm of the whole
    convolution, of images of this size, from above, anew at every use, as in `LipschitzMLP`.

    Args:
      num_outputs: outputs per pixel, as many as the image has channels; None for as many as its layer needs.
      hidden_units: channels of h, at least 1; an int, or a list of equal ones.
      lipschitz: bound of the network's Lipschitz constant, between 0 and 1.
      seed: an int for reproducible initial weights.
      dtype: a Keras dtype; the same as that of its `Residual`.

    Shapes: inputs [n, h, w, k] and condition [n, f h, f w, m], whose squares of f × f pixels become channels, or
    [n, ...] which goes to every pixel → [n, h, w, num_outputs].

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> LipschitzConvNet(2, hidden_units=8)(keras.ops.ones([3, 5, 5, 2])).shape
    TensorShape([3, 5, 5, 2])

    References: Chen et al. (2019), "Residual Flows for Invertible Generative Modeling", arXiv:1906.02735, appendix E;
    `_spectral.py` for the bound.
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = 32,
        lipschitz: float = 0.97,
        seed: int | None = None,
        **kwargs: Any,
    ):
        width = checks.width("hidden_units", hidden_units)
        super().__init__(num_outputs, lipschitz, (width, width), seed, **kwargs)
        self.hidden_units = width

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        self._sides = tuple(inputs_shape[1:3])
        super().build(inputs_shape, condition_shape)

    def _kernel_shape(self, index: int, num_inputs: int, num_outputs: int) -> tuple[int, ...]:
        side = 1 if index == 1 else 3
        return side, side, num_inputs, num_outputs

    def _num_inputs(self, inputs_shape: Any, condition_shape: Any) -> tuple[int, int]:
        return inputs_shape[-1], joined_channels(inputs_shape, condition_shape) - inputs_shape[-1]

    def _bound(self, kernel: tf.Tensor) -> tf.Tensor:
        return convolution_bound(kernel, *self._sides)

    def _apply(self, kernel: tf.Tensor, h: tf.Tensor) -> tf.Tensor:
        return with_a_row(lambda h: tf.nn.conv2d(h, kernel, strides=1, padding="SAME"), h)

    def _of_condition(self, inputs: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
        return join_channels(inputs[..., :0], condition)
