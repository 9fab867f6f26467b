"""The subject of the checks: a module, a computation with it, and rows to compute."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

Tensors = dict[str, tf.Tensor]

#: The number of rows in the largest batch shape of the checks, (2, 3).
NUM_ROWS = 6


@dataclasses.dataclass(frozen=True)
class Subject:
    """A module, a function to check, and its inputs.

    `compute(module, inputs)` takes and returns tensors by name, each a batch of any shape of
    rows. `inputs` have the batch shape [n]. `two_calls` computes the same by separate calls of
    TFP's value and log-det methods.
    """

    module: tf.Module
    compute: Callable[[Any, Mapping[str, tf.Tensor]], Tensors]
    two_calls: Callable[[Any, Mapping[str, tf.Tensor]], Tensors]
    inputs: Tensors

    @functools.cached_property
    def traced(self) -> Any:
        """`compute` as a concrete function, traced once."""
        return tf.function(lambda inputs: self.compute(self.module, inputs), autograph=False).get_concrete_function(
            self.fresh()
        )

    @functools.cached_property
    def compiled(self) -> Tensors:
        """What `compute` returns for all rows, compiled by XLA."""
        function = tf.function(lambda inputs: self.traced(inputs), jit_compile=True, autograph=False)
        # Calling `function` itself would count towards TensorFlow's warning about retracing.
        return function.get_concrete_function(self.fresh())(self.fresh())

    def fresh(self) -> Tensors:
        """The inputs as new tensors, which no cache holds."""
        return {name: tf.identity(value) for name, value in self.inputs.items()}

    def evaluate(self) -> Tensors:
        """Computes all rows at once, eagerly."""
        return self.compute(self.module, self.fresh())

    @functools.cached_property
    def expected(self) -> Tensors:
        """What `evaluate` returns with the weights as they are, computed once."""
        return self.evaluate()

    def batch(self, shape: tuple[int, ...]) -> Tensors:
        """The first rows, as a batch of the given shape."""
        count = math.prod(shape)
        return {name: tf.reshape(value[:count], (*shape, *value.shape[1:])) for name, value in self.inputs.items()}

    def row(self, index: int) -> Tensors:
        """One row, with the batch shape ()."""
        return {name: value[index] for name, value in self.inputs.items()}


def keywords(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`condition=` where the inputs have one."""
    return {"condition": inputs["condition"]} if "condition" in inputs else {}


def rows_of(name: str, value: Any, row_ndims: int, dtype: tf.DType | None) -> tf.Tensor:
    """Returns `NUM_ROWS` rows [n, *row] of `value` [..., *row], repeated if it has fewer."""
    value = tf.convert_to_tensor(value, dtype_hint=dtype)
    if dtype is not None and value.dtype != dtype:
        value = tf.cast(value, dtype)
    if value.shape.rank < row_ndims:
        raise ValueError(f"`{name}` must have at least {row_ndims} dimension(s); got shape {value.shape.as_list()}.")
    rows = tf.reshape(value, (-1, *value.shape[value.shape.rank - row_ndims :]))
    if not rows.shape[0]:
        raise ValueError(f"`{name}` must hold at least one event; got shape {value.shape.as_list()}.")
    return tf.gather(rows, np.arange(NUM_ROWS) % rows.shape[0])


def compare(actual: Mapping[str, tf.Tensor], expected: Mapping[str, tf.Tensor]) -> tuple[float, str]:
    """The largest |actual − expected| / (1 + |expected|) of tensors by name, and a remark with its place."""
    worst, remark = 0.0, ""
    for name, right in expected.items():
        a, b = np.asarray(actual[name], np.float64), np.asarray(right, np.float64)
        if a.shape != b.shape:
            return math.inf, f"{name} has shape {list(a.shape)} where {list(b.shape)} is right"
        with np.errstate(invalid="ignore"):
            error = np.where(a == b, 0.0, np.abs(a - b) / (1.0 + np.abs(b)))
        error = np.where(np.isnan(error), np.inf, error)
        if error.size and error.max() > worst:
            worst, at = float(error.max()), np.unravel_index(error.argmax(), error.shape)
            remark = f"{name} is {a[at]:.6g} where {b[at]:.6g} is right"
    return worst, remark
