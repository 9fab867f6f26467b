"""Checks and converts the data of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import itertools
import math
import types
from typing import Any

import keras
import numpy as np
import tensorflow as tf

#: Keras reads these batch by batch, without casts.
STREAMS = (tf.data.Dataset, keras.utils.PyDataset, types.GeneratorType)
#: The key of an array of floats whose bits are passed as integers.
_BITS = "bits of floats"


def as_bits(data: Any, dtype: str) -> Any:
    """Reinterprets the bits of float arrays, alone or in a structure, as integers; `from_bits` is the inverse.

    Keras casts every array of floats to its `floatx`, whatever the model's dtype, but does not cast integers.
    """
    if dtype == keras.config.floatx() or data is None:
        return data
    if isinstance(data, dict):
        return {name: as_bits(value, dtype) for name, value in data.items()}
    if isinstance(data, (list, tuple)) and any(hasattr(value, "shape") for value in data):
        return type(data)(as_bits(value, dtype) for value in data)
    array = np.asarray(data)
    if array.dtype.kind != "f":
        return data
    return {_BITS: np.ascontiguousarray(array, dtype).view(f"uint{8 * np.dtype(dtype).itemsize}")}


def from_bits(data: Any, dtype: str) -> Any:
    """Restores the floats of a batch from `as_bits`."""
    if isinstance(data, dict):
        if set(data) == {_BITS}:
            return tf.bitcast(data[_BITS], dtype)
        return {name: from_bits(value, dtype) for name, value in data.items()}
    return type(data)(from_bits(value, dtype) for value in data) if isinstance(data, (list, tuple)) else data


def event_and_condition(model: Any, data: Any) -> tuple[Any, Any, Any]:
    """Splits a Keras batch into the inputs of `model.call`, the events x, and the sample weights."""
    x, y, weights = (from_bits(values, model.dtype) for values in keras.utils.unpack_x_y_sample_weight(data))
    weights = None if weights is None else tf.reshape(weights, [-1])  # [n, 1] would broadcast to [n, n]
    return ((x, y), y, weights) if model.is_conditional else (x, x, weights)


def checked_data(model: Any, x: Any, y: Any, name: str, sample_weight: Any = None) -> tuple[Any, Any, Any]:
    """Checks data; returns Keras' `x` and `y`, and the first (condition inputs, events), at most 20,000.

    Of a stream, the first batch is checked; a returned generator still yields it.

    Raises:
      ValueError: for a missing or unexpected `y`, a wrong event shape, NaN or infinite values.
    """
    if isinstance(x, types.GeneratorType):
        first = next(x, None)
        if first is None:
            raise ValueError(f"`{name}` is a generator that yields nothing.")
        rows = _check_batch(model, first, name)
        return (batch for batch in itertools.chain([first], x)), y, rows
    if isinstance(x, tf.data.Dataset):
        first = next(iter(x.take(1)), None)
        if first is None:
            raise ValueError(f"`{name}` is a dataset that yields nothing.")
        rows = _check_batch(model, first, name)
    elif isinstance(x, keras.utils.PyDataset):
        rows = _check_batch(model, x[0], name)
    else:
        rows = _check_batch(model, (x, y, sample_weight), name)
        if sample_weight is not None and y is None:
            y = x  # Keras drops sample weights where there are no targets
    return x, y, rows


class Rows(keras.utils.PyDataset):
    """Reads arrays batch by batch, so that those mapped from a file are never whole in memory."""

    def __init__(self, arrays: tuple[Any, ...], batch_size: int):
        super().__init__()
        self._arrays, self._batch_size = arrays, batch_size

    def __len__(self) -> int:
        return -(-len(self._arrays[-1]) // self._batch_size)

    def __getitem__(self, number: int) -> Any:
        rows = slice(number * self._batch_size, (number + 1) * self._batch_size)
        return tf.nest.map_structure(lambda array: np.asarray(array[rows]), self._arrays)


def rows_at_once(event_shape: Any) -> int:
    """The number of rows with 2¹⁸ numbers, at least 32: few calls, and little memory."""
    return max(32, 2**18 // max(1, math.prod(event_shape)))


def _check_batch(model: Any, batch: Any, name: str) -> tuple[Any, np.ndarray]:
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    if model.is_conditional and y is None:
        raise ValueError(
            f"A conditional model is fitted with inputs and targets, `fit(condition_inputs, x)`; `{name}` has one part."
        )
    if not model.is_conditional and y is not None and weights is None:
        raise ValueError(
            f"The distribution takes no condition, so the data are inputs alone, `fit(x)`; `{name}` has targets too."
        )
    event = np.asarray(y if model.is_conditional else x)
    expected = model.distribution.event_shape.as_list()
    if event.ndim != 1 + len(expected) or list(event.shape[1:]) != expected:
        raise ValueError(f"Events in `{name}` must have shape [n, *{expected}]; got {list(event.shape)}.")
    if not len(event):
        raise ValueError(f"`{name}` has no rows.")
    check_finite("Events", name, event)
    model._fittable.check_values(name, event)
    if weights is not None:
        if np.size(weights) != len(event):
            raise ValueError(f"`sample_weight` must be one number per row, [{len(event)}]; got {np.shape(weights)}.")
        check_finite("Sample weights", name, np.asarray(weights))
    first = min(20_000, max(256, 2**20 // max(1, math.prod(expected))))  # images are large
    if not model.is_conditional:
        return None, event[:first]
    inputs = tf.nest.map_structure(np.asarray, x)
    for condition in tf.nest.flatten(inputs):
        check_finite("Condition inputs", name, condition)
    return tf.nest.map_structure(lambda condition: condition[:first], inputs), event[:first]


def check_finite(what: str, name: str, value: np.ndarray) -> None:
    """Raises `ValueError` with row numbers if any value is NaN or infinite."""
    if value.dtype.kind not in "fc":
        return
    if value.dtype.kind == "f" and np.isfinite(value.sum(dtype=np.float64)):
        return  # one pass and no copy: a NaN or infinity would have stayed in the sum
    rows = np.flatnonzero(~np.isfinite(value).reshape(len(value), -1).all(axis=-1))
    if rows.size:
        shown = ", ".join(map(str, rows[:5].tolist())) + (", …" if rows.size > 5 else "")
        raise ValueError(
            f"{what} in `{name}` must be finite; NaN or ±inf in {rows.size} row(s): {shown}. Remove or impute them."
        )
