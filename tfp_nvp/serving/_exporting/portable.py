"""Graphs of the signatures for other runtimes: one solution of each layer, and random numbers by common operations."""

from __future__ import annotations

from typing import Any

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
    """The function with tensors from outside its graph as constants of the graph, where a converter finds them."""
    graph = function.graph
    values = {inner.name: outer.numpy() for outer, inner in graph.captures if outer.dtype != tf.resource}
    if not values:
        return function
    operations = needed(ends_of(graph), {tensor.op.name for tensor in graph.inputs})

    def outputs(inputs: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        known = inputs | {name: tf.constant(value) for name, value in values.items()}
        return imported(graph, operations, known, graph.outputs)

    return function_like(function, outputs)
