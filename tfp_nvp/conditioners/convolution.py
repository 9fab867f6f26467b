"""The convolutions that image networks are made of."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfp_nvp import checks


class Convolution(keras.layers.Layer):
    """outputs = kernel ∗ inputs + bias, of the inputs' height and width; with `weight_norm`, kernel = g v / ‖v‖.

    `keras.layers.Conv2D` with "same" padding, but that a batch of no rows passes: there TensorFlow's own gives
    a shape of its inputs' channels on a CPU.

    Args:
      filters: number of channels of the outputs.
      kernel_size: its side.
      kernel_initializer: as in Keras.
      weight_norm: whether length and direction of each filter's kernel are weights of their own
        (Salimans & Kingma 2016, arXiv:1602.07868).

    Shapes: [n, h, w, k] → [n, h, w, filters].
    """

    def __init__(
        self,
        filters: int,
        *,
        kernel_size: int = 3,
        kernel_initializer: Any = "glorot_uniform",
        weight_norm: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = checks.integer("filters", filters, 1)
        self.kernel_size = checks.integer("kernel_size", kernel_size, 1)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.weight_norm = weight_norm

    def build(self, inputs_shape: Any) -> None:
        sides = (self.kernel_size, self.kernel_size)
        self.kernel = self.add_weight(
            shape=(*sides, inputs_shape[-1], self.filters), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        if self.weight_norm:  # at first the length that the initializer gave
            self.length = self.add_weight(shape=(self.filters,), initializer="ones", name="length")
            self.length.assign(keras.ops.sqrt(keras.ops.sum(keras.ops.square(self.kernel), axis=(0, 1, 2))))
        self.built = True

    def call(self, inputs: Any) -> Any:
        kernel = keras.ops.convert_to_tensor(self.kernel)
        if self.weight_norm:
            length = keras.ops.sqrt(keras.ops.sum(keras.ops.square(kernel), axis=(0, 1, 2)) + 1e-12)
            kernel = kernel * (keras.ops.convert_to_tensor(self.length) / length)
        return self._convolve(inputs, kernel) + self.bias

    def _convolve(self, inputs: Any, kernel: Any) -> Any:
        if inputs.shape[0] == 0:
            return keras.ops.zeros((*inputs.shape[:-1], self.filters), dtype=kernel.dtype)
        if inputs.shape[0] is not None:
            return keras.ops.conv(inputs, kernel, padding="same")
        rows = tf.shape(inputs)[0]
        at_least_one = tf.pad(inputs, [[0, tf.cast(tf.equal(rows, 0), tf.int32)], [0, 0], [0, 0], [0, 0]])
        return keras.ops.conv(at_least_one, kernel, padding="same")[:rows]

    def compute_output_shape(self, inputs_shape: Any) -> tuple:
        return (*inputs_shape[:-1], self.filters)


class ZeroConvolution(Convolution):
    """outputs = (kernel ∗ inputs + bias) · exp(3 s), where kernel, bias and the scales s [filters] start at zero.

    Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039, section 3.3 and its code.
    """

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(filters, kernel_initializer="zeros", **kwargs)

    def build(self, inputs_shape: Any) -> None:
        super().build(inputs_shape)
        self.log_scale = self.add_weight(shape=(self.filters,), initializer="zeros", name="log_scale")

    def call(self, inputs: Any) -> Any:
        return super().call(inputs) * keras.ops.exp(3.0 * keras.ops.convert_to_tensor(self.log_scale))
