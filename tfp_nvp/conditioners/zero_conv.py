"""A last convolution that starts at zero, with a learned scale."""

from __future__ import annotations

from typing import Any

import keras

from tfp_nvp import checks


class ZeroConv(keras.layers.Layer):
    """outputs = (kernel ∗ inputs + bias) · exp(3 s): a convolution whose kernel, bias and scales s [c] start at zero.

    Kingma & Dhariwal (2018), arXiv:1807.03039, section 3.3 and its code.

    Args:
      filters: number of channels of the outputs.
      kernel_size: its side.

    Shapes: [n, h, w, k] → [n, h, w, filters].
    """

    def __init__(self, filters: int, *, kernel_size: int = 3, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = checks.integer("filters", filters, 1)
        self.kernel_size = checks.integer("kernel_size", kernel_size, 1)
        self.convolution = keras.layers.Conv2D(
            filters, kernel_size, padding="same", kernel_initializer="zeros", dtype=self.dtype_policy
        )

    def build(self, inputs_shape: Any) -> None:
        self.convolution.build(inputs_shape)
        self.log_scale = self.add_weight(shape=(self.filters,), initializer="zeros", name="log_scale")
        self.built = True

    def call(self, inputs: Any) -> Any:
        log_scale = keras.ops.convert_to_tensor(self.log_scale)
        return self.convolution(inputs) * keras.ops.exp(3.0 * log_scale)

    def compute_output_shape(self, inputs_shape: Any) -> tuple:
        return (*inputs_shape[:-1], self.filters)
