"""A dense layer with some of its connections cut."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfp_nvp import checks, masks


class MaskedDense(keras.layers.Layer):
    """outputs = inputs · (mask ⊙ kernel) + bias, the mask from degrees of inputs and outputs.

    The product mask ⊙ kernel is small beside that with the inputs, costs no measurable
    time, and holds whatever an optimizer, a regularizer or a checkpoint does to the kernel.

    Args:
      units: number of outputs.
      kernel_initializer, kernel_regularizer: as in Keras.

    Shapes: inputs [n, in] → [n, units].
    """

    def __init__(
        self, units: int, *, kernel_initializer: Any = "glorot_uniform", kernel_regularizer: Any = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.units = checks.integer("units", units, 1)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def connect(self, in_degrees: np.ndarray, out_degrees: np.ndarray, *, strict: bool = False) -> None:
        """Makes the weights, and cuts all but the connections from lower degrees to higher (and to equal) ones."""
        self.in_degrees, self.out_degrees = in_degrees, out_degrees
        self.mask = masks.autoregressive(in_degrees, out_degrees, strict=strict)
        self.build((None, len(in_degrees)))

    def build(self, inputs_shape: Any) -> None:
        self.kernel = self.add_weight(
            shape=(inputs_shape[-1], self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.built = True

    def masked_kernel(self) -> Any:
        """mask ⊙ kernel, [in, units]."""
        kernel = keras.ops.convert_to_tensor(self.kernel)
        return kernel * keras.ops.cast(self.mask, kernel.dtype)

    def call(self, inputs: Any) -> Any:
        return keras.ops.matmul(inputs, self.masked_kernel()) + self.bias
