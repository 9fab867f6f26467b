"""Stores matrices and kernels in half the bytes, and casts them back when they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.serving._exporting.graphs import ends_of, function_like, imported, needed, not_only_read

#: Dtypes that weights can be stored in.
HALF = ("float16", "bfloat16")


def halved(weights: Sequence[tf.Variable], dtype: str) -> dict[int, tf.Variable]:
    """Rounds each trainable weight of rank 2 or more to a variable of `dtype`; returns them by the ids of its handle.

    Weights that are not trained are kept: they are few, and rounding would shift a mean far from zero and make a
    rotation inexact.

    Raises:
      ValueError: if `dtype` is not one of `HALF`, or a weight is too large for it.
    """
    dtype = checks.choice("weights_dtype", dtype, HALF)
    largest = tf.as_dtype(dtype).max
    halves = {}
    for weight in weights:
        if weight.dtype not in (tf.float32, tf.float64) or weight.shape.rank < 2 or not weight.trainable:
            continue
        if bool(tf.reduce_any(tf.abs(tf.cast(weight, tf.float64)) > tf.cast(largest, tf.float64))):
            raise ValueError(f"`weights_dtype` = {dtype!r} can't hold {weight.name}: numbers above {float(largest):g}.")
        value = tf.cast(weight, dtype)
        halves[id(weight.handle)] = tf.Variable(value, trainable=weight.trainable, name=weight.name.split(":")[0])
    return halves


def reading(functions: Mapping[str, Any], halves: Mapping[int, tf.Variable]) -> dict[str, Any]:
    """Returns functions that read weights from variables of half precision, and cast them back.

    The original functions and weights do not change. Weights that a graph does not only read whole are kept.

    Args:
      functions: concrete functions of named tensors.
      halves: from `halved`.
    """
    changing = not_only_read(function.graph for function in functions.values())
    halves = {handle: half for handle, half in halves.items() if handle not in changing}
    return {name: _reading(function, halves) for name, function in functions.items()} if halves else dict(functions)


def _reading(function: Any, halves: Mapping[int, tf.Variable]) -> Any:
    graph = function.graph
    operations = needed(ends_of(graph), {tensor.op.name for tensor in graph.inputs})
    return function_like(function, lambda inputs: imported(graph, operations, inputs, graph.outputs, halves))
