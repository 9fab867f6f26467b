"""Glow's convolutional networks as conditioners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp.conditioners._conditioner import ImageConditioner
from tfp_nvp.conditioners._convolution import Convolution, ZeroConvolution
from tfp_nvp.conditioners._joining import joined_channels


@keras.saving.register_keras_serializable("tfp_nvp")
class ConvNet(ImageConditioner):
    """Three convolutions, 3 × 3, 1 × 1 and 3 × 3, from an image to raw numbers for every pixel.

        h = activation(K₁ ∗ [inputs, condition] + b₁),  h = activation(W h + b₂)
        outputs = (K₃ ∗ h + c) · exp(3 s),  with K₃, c and s zero at first

    Args:
      num_outputs: raw numbers per pixel, `transformer.num_parameters` times the number of
        channels transformed; None for as many as its layer needs.
      hidden_units: channels of h, at least 1; an int, or a list of equal ones.
      activation: a Keras activation.
      seed: an int for reproducible initial weights.
      dtype: a Keras dtype or dtype policy; "mixed_bfloat16" computes in bfloat16.

    Shapes: inputs [n, h, w, k] and condition [n, f h, f w, m], whose squares of f × f pixels become channels, or
    [n, ...] which goes to every pixel → [n, h, w, num_outputs].

    >>> ConvNet(4, hidden_units=8)(keras.ops.ones([3, 5, 5, 2])).shape
    TensorShape([3, 5, 5, 4])

    References: Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039, section 3.3 and its code.
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = 64,
        activation: Any = "relu",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_outputs, seed=seed, **kwargs)
        self.hidden_units = checks.width("hidden_units", hidden_units)
        self.activation = keras.activations.get(activation)
        first, second = (self._glorot(i) for i in range(2))
        self.input_layer = Convolution(
            self.hidden_units, kernel_initializer=first, dtype=self.dtype_policy, name="inputs"
        )
        # A 1 × 1 convolution is one matrix product.
        self.hidden_layer = keras.layers.Dense(
            self.hidden_units,
            activation=self.activation,
            kernel_initializer=second,
            dtype=self.dtype_policy,
            name="hidden",
        )

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        self.output_layer = ZeroConvolution(self._known_outputs(), dtype=self.dtype_policy, name="outputs")
        image = (None, *inputs_shape[1:3])
        self.input_layer.build((*image, joined_channels(inputs_shape, condition_shape)))
        self.hidden_layer.build((*image, self.hidden_units))
        self.output_layer.build((*image, self.hidden_units))
        self.built = True

    def of_image(self, image: Any) -> Any:
        h = self.activation(self.input_layer(image))
        return self.output_layer(self.hidden_layer(h))


@keras.saving.register_keras_serializable("tfp_nvp")
class ZeroConv(ImageConditioner):
    """One 3 × 3 convolution from an image to raw numbers for every pixel, all zero at first.

        outputs = (K ∗ [inputs, condition] + c) · exp(3 s)

    Args:
      num_outputs: raw numbers per pixel, `transformer.num_parameters` times the number of
        channels transformed; None for as many as its layer needs.
      dtype: a Keras dtype or dtype policy; "mixed_bfloat16" computes in bfloat16.

    Shapes: as those of `ConvNet`.

    >>> float(keras.ops.sum(ZeroConv(4)(keras.ops.ones([3, 5, 5, 2]))))
    0.0

    References: Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039: the learned prior of its code.
    """

    def __init__(self, num_outputs: int | None = None, **kwargs: Any):
        super().__init__(num_outputs, **kwargs)

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        self.output_layer = ZeroConvolution(self._known_outputs(), dtype=self.dtype_policy, name="outputs")
        self.output_layer.build((*inputs_shape[:-1], joined_channels(inputs_shape, condition_shape)))
        self.built = True

    def of_image(self, image: Any) -> Any:
        return self.output_layer(image)
