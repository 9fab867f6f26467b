"""A dense layer with masked connections."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfp_nvp import checks, masks
from tfp_nvp._finite import held

#: A matrix of at least WIDE inputs, and outputs of a plane, is split into NUM_BLOCKS blocks of inputs. Smaller ones
#: are faster whole.
WIDE, NUM_BLOCKS = 512, 4


class MaskedDense(keras.layers.Layer):
    """outputs = inputs · (mask ⊙ kernel) + bias, the mask from degrees of inputs and outputs.

    The mask is applied at every use, so that it holds whatever an optimizer, a regularizer or a checkpoint does to the
    kernel. Degrees ascend, so that about half of the matrix is zero: in a wide layer, a block of inputs is multiplied
    only by the columns of outputs that depend on it.

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

    def connect(
        self, in_degrees: np.ndarray, out_degrees: np.ndarray, *, strict: bool = False, num_planes: int = 1
    ) -> None:
        """Makes the weights, and masks all but the connections from lower to higher (and equal) degrees.

        Args:
          in_degrees: [in].
          out_degrees: [units / num_planes], of the outputs of each plane.
          strict: whether connections between equal degrees are masked.
          num_planes: how often the outputs' degrees are repeated.
        """
        self.in_degrees, self.out_degrees = in_degrees, np.tile(out_degrees, num_planes)
        self.num_planes = num_planes
        self.mask = masks.autoregressive(in_degrees, self.out_degrees, strict=strict)
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
        inputs = held(inputs)
        wide = min(inputs.shape[-1], self.units // self.num_planes) >= WIDE
        return (self._sum_of_blocks(inputs) if wide else keras.ops.matmul(inputs, self.masked_kernel())) + self.bias

    def _sum_of_blocks(self, inputs: Any) -> Any:
        """inputs · (mask ⊙ kernel), without the zero corner of each block."""
        planes = (len(self.mask), self.num_planes, self.units // self.num_planes)
        kernel = keras.ops.reshape(keras.ops.convert_to_tensor(self.kernel), planes)
        cuts = [len(self.mask) * i // NUM_BLOCKS for i in range(1, NUM_BLOCKS)]
        blocks = (keras.ops.split(array, cuts, axis=axis) for array, axis in ((inputs, -1), (kernel, 0)))
        products = []
        for h, weights, mask in zip(*blocks, np.split(self.mask.reshape(planes), cuts), strict=True):
            first = int(mask.any(axis=(0, 1)).argmax())  # the first output that depends on the block
            weights = weights[:, :, first:] * keras.ops.cast(mask[:, :, first:], weights.dtype)
            product = keras.ops.matmul(h, keras.ops.reshape(weights, (len(mask), -1)))
            product = keras.ops.reshape(product, (-1, *weights.shape[1:]))
            products.append(keras.ops.pad(product, ((0, 0), (0, 0), (first, 0))))
        return keras.ops.reshape(sum(products[1:], start=products[0]), (-1, self.units))
