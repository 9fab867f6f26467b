"""RealNVP's residual convolutional network as conditioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp._finite import held
from tfp_nvp.conditioners._conditioner import ImageConditioner
from tfp_nvp.conditioners._convolution import Convolution, ZeroConvolution
from tfp_nvp.conditioners._joining import joined_channels


@keras.saving.register_keras_serializable("tfp_nvp")
class ResidualConvNet(ImageConditioner):
    """A residual network of weight-normalized 3 × 3 convolutions, from an image to raw numbers for every pixel.

        h = K ∗ [inputs, condition] + b
        h = h + A₂ ∗ activation(A₁ ∗ activation(h))  for each block
        outputs = (V ∗ activation(h) + c) · exp(3 s),  with V, c and s zero at first

    Args:
      num_outputs: raw numbers per pixel; None for as many as its layer needs.
      hidden_units: channels of h, at least 1; an int, or a list of equal ones.
      num_blocks: number of blocks, at least 1.
      activation: a Keras activation.
      seed: an int for reproducible initial weights.
      dtype: a Keras dtype or dtype policy; "mixed_bfloat16" computes in bfloat16.

    Shapes: inputs [n, h, w, k] and condition [n, f h, f w, m], whose squares of f × f pixels become channels, or
    [n, ...] which goes to every pixel → [n, h, w, num_outputs].

    >>> ResidualConvNet(4, hidden_units=8)(keras.ops.ones([3, 5, 5, 2])).shape
    TensorShape([3, 5, 5, 4])

    References: Dinh, Sohl-Dickstein & Bengio (2017), arXiv:1605.08803, section 4.1; Salimans & Kingma (2016),
    "Weight Normalization", arXiv:1602.07868.
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = 32,
        num_blocks: int = 2,
        activation: Any = "relu",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_outputs, seed=seed, **kwargs)
        self.hidden_units = checks.width("hidden_units", hidden_units)
        self.num_blocks = checks.integer("num_blocks", num_blocks, 1)
        self.activation = keras.activations.get(activation)
        self.hidden_layers = [
            Convolution(
                self.hidden_units, kernel_initializer=self._glorot(i), weight_norm=True, dtype=self.dtype_policy
            )
            for i in range(2 * num_blocks + 1)
        ]

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        self.output_layer = ZeroConvolution(self._known_outputs(), dtype=self.dtype_policy)
        channels = joined_channels(inputs_shape, condition_shape)
        for layer in (*self.hidden_layers, self.output_layer):
            layer.build((None, *inputs_shape[1:3], channels))
            channels = self.hidden_units
        self.built = True

    def of_image(self, image: Any) -> Any:
        h = self.hidden_layers[0](image)
        for first, second in zip(self.hidden_layers[1::2], self.hidden_layers[2::2], strict=True):
            h = held(h + second(self.activation(held(first(self.activation(h))))))
        return self.output_layer(self.activation(h))
