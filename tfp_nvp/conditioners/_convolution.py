"""The convolutions of image networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import held
from tfp_nvp._portable import is_portable


class Convolution(keras.layers.Layer):
    """outputs = kernel ∗ inputs + bias, of the inputs' height and width; with `weight_norm`, kernel = g v / ‖v‖.

    `keras.layers.Conv2D` with "same" padding, and weight normalization. `with_a_row` lets a network of them take
    batches of no rows.

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
        if self.weight_norm:  # it starts as the initial kernel's length
            self.length = self.add_weight(shape=(self.filters,), initializer="ones", name="length")
            self.length.assign(keras.ops.sqrt(keras.ops.sum(keras.ops.square(self.kernel), axis=(0, 1, 2))))
        self.built = True

    def call(self, inputs: Any) -> Any:
        kernel = keras.ops.convert_to_tensor(self.kernel)
        if self.weight_norm:
            length = keras.ops.sqrt(keras.ops.sum(keras.ops.square(kernel), axis=(0, 1, 2)) + 1e-12)
            kernel = kernel * (keras.ops.convert_to_tensor(self.length) / length)
        return keras.ops.conv(inputs, kernel, padding="same") + self.bias

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
        return held(super().call(inputs) * keras.ops.exp(3.0 * keras.ops.convert_to_tensor(self.log_scale)))


def with_a_row(network: Callable[[Any], Any], image: Any) -> Any:
    """`network(image)` of a batch that may have no rows, of which a convolution on a CPU returns a wrong shape."""
    if image.shape[0] or is_portable():  # convolutions of other runtimes want known sizes
        return network(image)
    rows = tf.shape(image)[0]
    padding = [[0, tf.cast(tf.equal(rows, 0), tf.int32)], [0, 0], [0, 0], [0, 0]]
    return network(tf.pad(image, padding))[:rows]
