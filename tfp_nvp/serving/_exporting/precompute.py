"""Precomputes the values of a graph that depend only on the weights, when it is exported."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp._warnings import warn
from tfp_nvp.serving._exporting.graphs import ends_of, function_like, imported, needed, not_only_read, source

MOST_IN_GRAPH = 1024  # numbers of a vector that becomes a constant: one operation instead of three for a variable
MOST_GROWTH = 4  # the stored values may take so many times the weights' bytes


def precompute(
    functions: Mapping[str, Any], but: Collection[tf.Variable] = ()
) -> tuple[dict[str, Any], list[tf.Variable]]:
    """Returns equivalent functions in which every value that depends only on the weights has been precomputed.

    Such values are masked kernels, inverses of matrices, exponentials of scales. Vectors become constants of the
    graph, all others variables, which the functions share. Variables that are not only read are kept. The functions
    are returned unchanged if the values take several times the bytes of the weights, or, with a warning, if a graph
    can't be divided.

    Args:
      functions: concrete functions of named tensors.
      but: more variables to keep.

    Returns:
      The functions, and the new variables.
    """
    graphs = [function.graph for function in functions.values()]
    fixed = not_only_read(graphs) | {id(variable.handle) for variable in but}
    stored: dict[Any, tf.Variable] = {}
    try:
        precomputed = {
            name: _Precomputed(function.graph, fixed, stored).function(function) for name, function in functions.items()
        }
    except Exception as error:  # unforeseen operations: the graph as it was is right too
        warn(f"The exported graphs compute at every request what depends on weights alone: {error}")
        return dict(functions), []
    weights = {id(variable): variable for graph in graphs for variable in graph.variables}
    if _bytes(stored.values()) > MOST_GROWTH * _bytes(weights.values()):
        return dict(functions), []
    return precomputed, list(stored.values())


def _bytes(variables: Iterable[tf.Variable]) -> int:
    return sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)


class _Precomputed:
    """A graph divided into the operations that depend only on weights, and the rest.

    Args:
      graph: of a function.
      fixed: ids of the handles of variables to keep.
      stored: variables for values, by dtype, shape and hash; updated.
    """

    def __init__(self, graph: Any, fixed: Collection[int], stored: dict[Any, tf.Variable]):
        self._graph, self._stored = graph, stored
        handles = {id(v.handle): v for v in graph.variables if id(v.handle) not in fixed}
        self._weights = {inner.name: handles[id(outer)] for outer, inner in graph.captures if id(outer) in handles}
        known = _of_weights(graph, self._weights)
        self._rest = needed(ends_of(graph), known | {tensor.op.name for tensor in graph.inputs})
        read = [source(tensor) for tensor in (*(t for op in self._rest for t in op.inputs), *graph.outputs)]
        self._edge = list({tensor.name: tensor for tensor in read if tensor.op.name in known}.values())

    def function(self, original: Any) -> Any:
        """Returns a concrete function equivalent to the original."""
        values = self._values()

        def outputs(inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
            known = inputs | {tensor.name: self._constant(tensor, value) for tensor, value in values}
            return imported(self._graph, self._rest, known, self._graph.outputs)

        return function_like(original, outputs)

    def _values(self) -> list[tuple[tf.Tensor, np.ndarray]]:
        """Computes the tensors of weights alone that the rest reads."""
        operations = needed((tensor.op for tensor in self._edge), (), control=False)
        function = tf.function(lambda: imported(self._graph, operations, {}, self._edge), autograph=False)
        with tf.device("CPU"):  # a GPU may round products to fewer bits
            return [(tensor, value.numpy()) for tensor, value in zip(self._edge, function(), strict=True)]

    def _constant(self, tensor: tf.Tensor, value: np.ndarray) -> tf.Tensor:
        """Returns the `value` of `tensor` as a constant, or reads it from a variable."""
        if value.ndim < 2 and value.size <= MOST_IN_GRAPH:
            return tf.constant(value)
        if tensor.op.type == "ReadVariableOp":
            return tf.convert_to_tensor(self._weights[tensor.op.inputs[0].name])
        key = value.dtype, value.shape, hashlib.sha256(value.tobytes()).digest()
        if key not in self._stored:
            with tf.init_scope():
                self._stored[key] = tf.Variable(value, trainable=False, name=tensor.op.name)
        return tf.convert_to_tensor(self._stored[key])


def _of_weights(graph: Any, weights: Collection[str]) -> set[str]:
    """The names of the operations that depend only on weights and constants, and on at least one weight.

    Their control dependencies, such as checks of weights, do not change values; the rest of the graph runs them.
    """
    known: dict[str, bool] = {}
    for op in graph.get_operations():
        inputs = [source(tensor).op.name for tensor in op.inputs]
        if op.type == "ReadVariableOp" and op.inputs[0].name in weights:
            known[op.name] = True
        elif op.type == "Const" or (inputs and _is_pure(op) and all(name in known for name in inputs)):
            known[op.name] = any(known[name] for name in inputs)
    return {name for name, of_weights in known.items() if of_weights}


def _is_pure(op: tf.Operation) -> bool:
    """Whether the results are numbers, and depend only on the inputs."""
    dtypes = [tensor.dtype for tensor in op.outputs]
    are_numbers = all(dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype.is_complex for dtype in dtypes)
    return are_numbers and not op.op_def.is_stateful
