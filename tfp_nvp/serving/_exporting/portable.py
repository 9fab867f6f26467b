"""Graphs of the signatures for other runtimes: one solution of each layer, and random numbers by common operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp._portable import portable
from tfp_nvp.bijectors._at_once import choosing
from tfp_nvp.serving._exporting.graphs import ends_of, function_like, imported, needed
from tfp_nvp.serving._exporting.precompute import precompute
from tfp_nvp.serving._exporting.signatures import Signature, trace


def portable_functions(signatures: dict[str, Signature]) -> tuple[dict[str, Any], list[tf.Variable]]:
    """Traces the signatures that a distribution implements, for any number of rows.

    Returns:
      Concrete functions of named tensors, and variables that they read beside the weights.
    """
    with choosing(at_once=True), portable():
        functions = trace(signatures)
    functions, variables = precompute(functions)
    return {name: _with_constants(function) for name, function in functions.items()}, variables


def _with_constants(function: Any) -> Any:
    """The function with constants of its graph for tensors from outside of it, where a converter finds them, and for
    the shapes that only gradients compute."""
    graph = function.graph
    values = {inner.name: outer.numpy() for outer, inner in graph.captures if outer.dtype != tf.resource}
    for op in graph.get_operations():
        if op.type in _SHAPES_OF_GRADIENTS:
            found = _SHAPES_OF_GRADIENTS[op.type](op)
            values |= {tensor.name: each for tensor, each in zip(op.outputs, found, strict=True) if each is not None}
    if not values:
        return function
    operations = needed(ends_of(graph), {tensor.op.name for tensor in graph.inputs})

    def outputs(inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        known = inputs | {name: tf.constant(value) for name, value in values.items()}
        return imported(graph, operations, known, graph.outputs)

    return function_like(function, outputs)


def _known_shape(tensor: tf.Tensor) -> list[int | None]:
    """What is known of a shape that a graph computes."""
    if tensor.op.type in ("Shape", "ShapeN"):
        return tensor.op.inputs[tensor.value_index].shape.as_list()
    value = tf.get_static_value(tensor)
    return [None] * tensor.shape[0] if value is None else value.tolist()


def _summed_axes(op: Any) -> list[np.ndarray | None]:
    """The axes along which two shapes broadcast to each other; sizes that are not known are equal: numbers of rows."""
    shapes = [_known_shape(tensor) for tensor in op.inputs]
    rank = max(map(len, shapes))
    a, b = ([*[1] * (rank - len(shape)), *shape] for shape in shapes)
    pairs = list(enumerate(zip(a, b, strict=True)))
    return [
        np.array([axis for axis, (one, other) in pairs if one == 1 and other != 1], np.int32),
        np.array([axis for axis, (one, other) in pairs if other == 1 and one != 1], np.int32),
    ]


def _sizes_of_parts(op: Any) -> list[np.ndarray | None]:
    """The shapes of several tensors, as sizes of slices: −1 for all rows."""
    found: list[np.ndarray | None] = []
    for tensor, taken in zip(op.inputs, op.outputs, strict=True):
        shape = tensor.shape.as_list()
        is_size = shape.count(None) == shape[:1].count(None) and all(
            user.type in ("ConcatOffset", "Slice") for user in taken.consumers()
        )
        sizes = [-1 if size is None else size for size in shape]
        found.append(np.array(sizes, taken.dtype.as_numpy_dtype) if is_size else None)
    return found


def _starts_of_parts(op: Any) -> list[np.ndarray | None]:
    """Where each of several tensors starts in their concatenation."""
    axis, *tensors = op.inputs
    axis = tf.get_static_value(axis.op.inputs[0] if axis.op.type == "FloorMod" else axis)  # of the rank
    shapes = [_known_shape(tensor) for tensor in tensors]
    sizes: list[Any] = [] if axis is None else [shape[int(axis)] for shape in shapes]
    if axis is None or None in sizes:
        return [None] * len(op.outputs)
    starts = np.zeros([len(shapes), len(shapes[0])], np.int32)
    starts[1:, int(axis)] = np.cumsum(sizes[:-1])
    return list(starts)


_SHAPES_OF_GRADIENTS: dict[str, Callable[[Any], list[np.ndarray | None]]] = {
    "BroadcastGradientArgs": _summed_axes,
    "ConcatOffset": _starts_of_parts,
    "ShapeN": _sizes_of_parts,
}
