"""The sequential direction of a masked network: each hidden unit is computed as soon as its inputs are known.

Evaluating the whole network once per element costs d evaluations. But a unit of degree j depends on the first j
elements only, and is final once they are known. Here elements are solved in small blocks. The contribution of earlier
blocks to a block's units is one matrix product per layer; within the block, only its own units are evaluated, once per
element. All blocks together cost little more than one evaluation of the network, and the time of d small steps.

The batch is the last axis, [units, n], so that blocks are slices of whole rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp._finite import held
from tfp_nvp.conditioners._masked_dense import MaskedDense
from tfp_nvp.conditioners._masked_network import MaskedNetwork

#: Elements per block. More make fewer and larger products with earlier units, and more work within the block.
BLOCK = 4


def solve(
    network: MaskedNetwork, transform: Callable, value: tf.Tensor, condition: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """The x for which x_i = transform(value_i, raw_i), where raw = network(x, condition).

    Args:
      network: built, its raw numbers of x_i a function of the elements before x_i.
      transform: (value [b, n], raw [p, b, n]) → (result [b, n], log_det [b, n]), elementwise.
      value: [n, d].
      condition: [n, ...], or None.

    Returns:
      x [n, d], and the log_det [n] of all elements together.
    """
    if value.shape[0] == 0:
        return value, value[:, 0]
    d, rows = value.shape[-1], tf.shape(value)[0]
    value = _at_least_one_row(value)
    condition = None if condition is None else held(_at_least_one_row(condition))
    num_blocks = -(-d // BLOCK)
    order = np.arange(d) if network.order is None else np.array(network.order)
    # The last block is padded with copies of the last element, on which nothing depends.
    value = tf.gather(tf.transpose(value), order[np.minimum(np.arange(num_blocks * BLOCK), d - 1)])
    n = tf.shape(value)[1]
    layers = _block_layers(network, d, num_blocks, network.contexts(condition))
    exists = tf.constant(np.arange(num_blocks * BLOCK).reshape(num_blocks, BLOCK, 1) < d)

    def body(block: tf.Tensor, log_det: tf.Tensor, *known: tf.Tensor) -> tuple[tf.Tensor, ...]:
        steps = {layer.layer: layer.at(block, units) for layer, units in zip(layers, known, strict=True)}
        v = tf.slice(value, [block * BLOCK, 0], [BLOCK, -1])
        x, log_dets = tf.zeros_like(v), tf.zeros_like(v)
        for _ in range(min(BLOCK, d)):  # each time, one more element is final
            outputs = network.evaluate(x, lambda layer, h: steps[layer](h))
            raw = tf.reshape(outputs, [outputs.shape[0] // BLOCK, BLOCK, -1])
            x, log_dets = transform(v, raw)
        new = [x, *(steps[layer.layer].inputs for layer in layers[1:])]
        known = tuple(_put(units, block * h.shape[0], h) for units, h in zip(known, new, strict=True))
        log_dets = tf.where(exists[block], log_dets, tf.zeros_like(log_dets))
        log_det = tf.ensure_shape(log_det + tf.reduce_sum(log_dets, axis=0), log_det.shape)
        return block + 1, log_det, *known

    known = [tf.zeros(tf.stack([layer.num_inputs, n]), value.dtype) for layer in layers]
    _, log_det, x, *_ = tf.while_loop(
        lambda block, *_: block < num_blocks,
        body,
        (tf.constant(0), tf.zeros([n], value.dtype), *known),
        maximum_iterations=num_blocks,
        parallel_iterations=1,
    )
    return tf.transpose(tf.gather(x, np.argsort(order)))[:rows], log_det[:rows]


class _BlockLayer:
    """The weights of a masked layer by blocks of its units."""

    def __init__(self, layer: MaskedDense, context: tf.Tensor | None, inputs: np.ndarray, outputs: np.ndarray):
        """`inputs` and `outputs` [num_blocks, width]: the units of each block, padded with the layer's size."""
        self.layer = layer
        self._width = inputs.shape[1]
        self.num_inputs = inputs.size
        num_blocks = len(outputs)
        kernel = tf.pad(layer.masked_kernel(), [[0, 1], [0, 1]])
        kernel = tf.gather(tf.transpose(tf.gather(kernel, inputs.reshape(-1))), outputs.reshape(-1))
        self._kernel = tf.reshape(kernel, [num_blocks, -1, self.num_inputs])
        self._bias = tf.gather(tf.pad(layer.bias, [[0, 1]]), outputs)[..., tf.newaxis]
        self._context = context
        if context is not None:
            self._context = tf.gather(tf.pad(tf.transpose(context), [[0, 1], [0, 0]]), outputs)

    def at(self, block: tf.Tensor, known: tf.Tensor) -> _Step:
        """This layer in a block, given the inputs [num_inputs, n] that are known before it."""
        kernel = self._kernel[block]
        within = tf.slice(kernel, [0, block * self._width], [kernel.shape[0], self._width])
        context = None if self._context is None else self._context[block]
        return _Step(tf.matmul(kernel, held(known)) + self._bias[block], within, context)


class _Step:
    """A masked layer within one block: a function of the block's inputs, which it remembers."""

    def __init__(self, known: tf.Tensor, within: tf.Tensor, context: tf.Tensor | None):
        self._known, self._within, self._context = known, within, context
        self.inputs: Any = None

    def __call__(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        self.inputs = inputs
        return self._known + tf.matmul(self._within, held(inputs)), self._context


def _block_layers(
    network: MaskedNetwork, d: int, num_blocks: int, contexts: dict[MaskedDense, tf.Tensor]
) -> list[_BlockLayer]:
    """Splits each layer into blocks: elements of degree j (1, …, d) into block (j − 1) // BLOCK, units into j // BLOCK.

    All elements that a unit depends on are known before its block, or lie in it before those that depend on the unit.
    """
    num_parameters = network.num_outputs // d
    elements = np.arange(num_blocks * BLOCK).reshape(num_blocks, BLOCK)
    inputs = np.minimum(elements, d)
    layers = []
    for layer in network.hidden_layers:
        units = _by_block(layer.out_degrees // BLOCK, num_blocks)
        layers.append(_BlockLayer(layer, contexts.get(layer), inputs, units))
        inputs = units
    firsts = d * np.arange(num_parameters)[:, np.newaxis]
    outputs = (np.minimum(elements, d - 1)[:, np.newaxis] + firsts).reshape(num_blocks, -1)
    return [*layers, _BlockLayer(network.output_layer, contexts.get(network.output_layer), inputs, outputs)]


def _by_block(blocks: np.ndarray, num_blocks: int) -> np.ndarray:
    """The indices of the units of each block [num_blocks, width], padded with the number of units."""
    members = [np.flatnonzero(blocks == block) for block in range(num_blocks)]
    units = np.full((num_blocks, max(1, max(map(len, members)))), len(blocks))
    for row, numbers in zip(units, members, strict=True):
        row[: len(numbers)] = numbers
    return units


def _at_least_one_row(values: tf.Tensor) -> tf.Tensor:
    """`values` [n, ...], or one row of zeros if n turns out to be 0: TensorFlow can't scatter into empty tensors."""
    if values.shape[0] is not None:
        return values
    missing = tf.maximum(1 - tf.shape(values)[0], 0)
    return tf.pad(values, [[0, missing], *[[0, 0]] * (values.shape.rank - 1)])


def _put(units: tf.Tensor, start: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """`units` [m, n] with rows from `start` on replaced by `new`."""
    rows = start + tf.range(new.shape[0])
    return tf.tensor_scatter_nd_update(units, rows[:, tf.newaxis], new)
