"""Networks of blocks of units, one for each element, that increase in the element of their own block."""

from __future__ import annotations

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp._finite import held, product

#: Largest |log| of a positive weight, before normalization, and of a unit's scale.
_LARGEST_WEIGHT, _LARGEST_SCALE = 8.0, 5.0


class BlockWeights(NamedTuple):
    """The weights of one layer, of m elements, k units of input and l of output each, at n rows of conditions.

    below: [m k, m l], the weights from blocks of earlier elements; zero elsewhere.
    log_blocks: [m, k, l], logs of the positive weights of each block.
    offset: [m l] or [n, m l], bias and condition.
    """

    below: tf.Tensor
    log_blocks: tf.Tensor
    offset: tf.Tensor

    def units(self, inputs: tf.Tensor) -> tf.Tensor:
        """inputs [n, m k] → [n, m l]."""
        m, k, units = self.log_blocks.shape
        blocks = tf.exp(self.log_blocks)[:, :, None, :] * tf.eye(m, dtype=inputs.dtype)[:, None, :, None]
        return product(inputs, self.below + tf.reshape(blocks, [m * k, m * units])) + self.offset

    def log_slopes(self, log_slopes: tf.Tensor) -> tf.Tensor:
        """Logs of the derivatives of outputs by their own element, [n, m, l], from those of the inputs [n, m, k].

        A sum of exponentials as a matrix product: the largest slope is divided out.
        """
        largest = tf.stop_gradient(tf.reduce_max(log_slopes, axis=-1, keepdims=True))
        sums = tf.einsum("nmk,mkl->nml", tf.exp(log_slopes - largest), tf.exp(self.log_blocks))
        return tf.math.log(sums) + largest

    def of_element(self, i: tf.Tensor, inputs: tf.Tensor) -> BlockWeights:
        """The layer of element i alone, given the inputs [n, m k] of the elements before it."""
        m, k, units = self.log_blocks.shape
        below = tf.reshape(self.below, [m * k, m, units])[:, i]
        offset = tf.gather(tf.reshape(self.offset, [-1, m, units]), i, axis=1)
        return BlockWeights(
            tf.zeros([k, units], below.dtype), self.log_blocks[i][None], product(inputs, below) + offset
        )


class Pass(NamedTuple):
    """What one evaluation gives: values [n, m], log-slopes [n, m], and the hidden units of each layer [n, m k]."""

    values: tf.Tensor
    log_slopes: tf.Tensor
    hidden: list[tf.Tensor]


def evaluate(layers: list[BlockWeights], x: tf.Tensor) -> Pass:
    """The network of `layers`, tanh between them, at x [n, m]; ∂/∂xᵢ of each output i is positive."""
    inputs, hidden = held(x), []
    log_slopes = tf.zeros_like(inputs)[..., None]
    for layer in layers:
        hidden.append(inputs)
        units = layer.units(inputs)
        log_slopes = layer.log_slopes(log_slopes)
        if layer is not layers[-1]:
            log_slopes += tf.reshape(_log_sech_squared(units), tf.shape(log_slopes))
            inputs = tf.tanh(units)
    return Pass(units, log_slopes[..., 0], hidden)


class BlockDense(keras.layers.Layer):
    """The weights of one layer: outputs = W inputs + C condition + bias, W block lower triangular.

        W_kj = exp(s_k) V_kj / ‖V_k‖,  V_kj = exp(v_kj) within a block, v_kj below the diagonal, else 0

    so that each unit's row of weights has the norm exp(s_k). v within blocks and s are softly bounded.

    Args:
      num_blocks: m, number of elements.
      num_inputs, num_outputs: k and l, units of each block.
      condition_shape: shape of the condition, or None.
      rng: of the initial weights.
    """

    def __init__(
        self,
        num_blocks: int,
        num_inputs: int,
        num_outputs: int,
        condition_shape: tuple[int, ...] | None,
        rng: np.random.Generator,
        dtype: str,
    ):
        super().__init__(dtype=dtype)
        self._shape = (num_blocks, num_inputs, num_outputs)
        rows, columns = num_blocks * num_inputs, num_blocks * num_outputs
        inputs, outputs = (np.arange(size) // units for size, units in ((rows, num_inputs), (columns, num_outputs)))
        self._is_below = inputs[:, None] < outputs
        self.kernel = self._weight("kernel", 0.5 * rng.normal(size=(rows, columns)))
        # Units of one block must differ at first: those of the first element have no other weights to differ by.
        self.log_scale = self._weight("log_scale", 0.5 * rng.normal(size=columns))
        self.bias = self._weight("bias", rng.normal(size=columns) if num_outputs > 1 else np.zeros(columns))
        self.condition_kernel = None
        if condition_shape is not None:
            size = math.prod(condition_shape)
            start = rng.normal(size=(size, columns)) / math.sqrt(max(1, size))
            self.condition_kernel = self._weight("condition_kernel", start if num_outputs > 1 else 0.0 * start)
        self.built = True

    def _weight(self, name: str, start: np.ndarray) -> keras.Variable:
        return self.add_weight(shape=start.shape, initializer=keras.initializers.Constant(start), name=name)

    def weights_at(self, condition: tf.Tensor | None) -> BlockWeights:
        """The weights at conditions [n, size], or at none."""
        m, k, units = self._shape
        kernel = tf.convert_to_tensor(self.kernel)
        below = tf.where(self._is_below, kernel, tf.zeros_like(kernel))
        blocks = tf.linalg.diag_part(tf.transpose(tf.reshape(kernel, [m, k, m, units]), [1, 3, 0, 2]))  # [k, l, m]
        log_blocks = _softly_bounded(tf.transpose(blocks, [2, 0, 1]), _LARGEST_WEIGHT)
        squares = tf.reduce_sum(below**2, axis=0) + tf.reshape(tf.reduce_sum(tf.exp(2.0 * log_blocks), axis=1), [-1])
        log_factor = _softly_bounded(tf.convert_to_tensor(self.log_scale), _LARGEST_SCALE) - 0.5 * tf.math.log(squares)
        offset = tf.convert_to_tensor(self.bias)
        if condition is not None:
            offset += product(condition, tf.convert_to_tensor(self.condition_kernel))
        return BlockWeights(below * tf.exp(log_factor), log_blocks + tf.reshape(log_factor, [m, 1, units]), offset)


def _softly_bounded(raw: tf.Tensor, bound: float) -> tf.Tensor:
    return bound * tf.tanh(raw / bound)


def _log_sech_squared(u: tf.Tensor) -> tf.Tensor:
    """log (1 − tanh²(u)), which does not underflow."""
    return 2.0 * (math.log(2.0) - u - tf.math.softplus(-2.0 * u))
