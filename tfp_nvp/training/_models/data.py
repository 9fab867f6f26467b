"""Checks and converts the data of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import itertools
import math
import types
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import tables
from tfp_nvp.tables import check_finite

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
    """Splits a Keras batch into the inputs of `model.call`, the events x, and the sample weights [n].

    A negative weight becomes NaN, which `NonFiniteGuard` notices: only a graph sees the later batches of a stream.
    """
    x, y, weights = (from_bits(values, model.dtype) for values in keras.utils.unpack_x_y_sample_weight(data))
    if weights is not None:
        weights = tf.cast(tf.reshape(weights, [-1]), model.dtype)  # [n, 1] would broadcast to [n, n]
        weights = tf.where(weights < 0, tf.constant(math.nan, model.dtype), weights)
    return ((x, y), y, weights) if model.is_conditional else (x, x, weights)


def checked_data(model: Any, x: Any, y: Any, name: str, sample_weight: Any = None) -> tuple[Any, Any, Any]:
    """Checks data; returns Keras' `x` and `y`, and the first (condition inputs, events), at most 20,000.

    Rows of weight 0 are not among the first ones, which initialize data-dependent layers.

    Of a stream, the first batch with rows is checked; a returned generator still yields it.

    Raises:
      ValueError: for a missing or unexpected `y`, a wrong event shape, NaN or infinite values.
    """
    if isinstance(x, Iterator):
        batches = as_batches(model, x, name, but_first=True)
        first = _first_batch(batches, name)
        x, rows = (batch for batch in itertools.chain([first], batches)), _check_batch(model, first, name)
    elif isinstance(x, tf.data.Dataset):
        rows = _check_batch(model, _first_batch(x, name), name)
    elif isinstance(x, keras.utils.PyDataset):
        rows = _check_batch(model, _first_batch((x[i] for i in range(len(x))), name), name)
    else:
        x, y = _read(model, x, y, name)
        rows = _check_batch(model, (x, y, sample_weight), name, stream=False)
        if sample_weight is not None and y is None:
            y = x  # Keras drops sample weights where there are no targets
    return x, y, rows


def checked_validation(data: Any) -> tuple[Any, Any, Any]:
    """The three parts of Keras' `validation_data`: inputs, targets, weights.

    Raises:
      ValueError: for a tuple of none or more than three parts.
    """
    parts = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    if not 1 <= len(parts) <= 3 or parts[0] is None:
        raise ValueError(
            "`validation_data` must be (x,), (condition_inputs, x), with sample weights (x, x, weights) or "
            f"(condition_inputs, x, weights), or a stream; got {len(parts)} part(s). Or leave it out."
        )
    return (*parts, None, None)[:3]


def as_batches(model: Any, stream: Iterator[Any], name: str = "x", *, but_first: bool = False) -> Iterator[Any]:
    """Yields the batches that have rows, as the tuples of arrays that Keras takes, in the model's dtypes.

    Args:
      model: a `FlowModel`.
      stream: of batches.
      name: of the argument, for messages.
      but_first: whether the shape of the first batch is checked elsewhere.

    Raises:
      TypeError, ValueError: for values that are no numbers, and events of another shape than the model's.
    """
    expected, is_checked = model.distribution.event_shape.as_list(), not but_first
    for batch in stream:
        if isinstance(batch, list) and any(hasattr(part, "shape") for part in batch):
            batch = tuple(batch)
        elif not isinstance(batch, tuple):
            batch = (batch,)
        number = 1 if model.is_conditional else 0  # of the part with the events; one part alone may hold both
        if len(batch) > number:
            # Keras takes the dtypes of the first batches for those of all.
            inputs, targets = _read(model, batch[0], batch[1] if len(batch) > 1 else None, name, cast=True)
            if len(batch) > 2 and not model.is_conditional:  # (x, x, weights)
                targets = inputs
            weights = (_read_weights(f"sample_weight of {name}", part) for part in batch[2:])
            batch = (*(inputs, targets)[: len(batch)], *weights)
        if not _has_rows(batch):
            continue
        shape = np.shape(batch[number]) if len(batch) > number else None
        if shape is not None and is_checked and list(shape[1:]) != expected:
            raise ValueError(_wrong_shape(name, shape, expected))
        is_checked = True
        yield batch


def _first_batch(batches: Iterable[Any], name: str) -> Any:
    """The first batch that has rows."""
    first = next(filter(_has_rows, batches), None)
    if first is None:
        raise ValueError(f"`{name}` must yield batches of rows; it yields none.")
    return first


def _has_rows(batch: Any) -> bool:
    return len(np.asarray(tf.nest.flatten(batch)[0])) > 0


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


def _read(model: Any, x: Any, y: Any, name: str, *, cast: bool = False) -> tuple[Any, Any]:
    """The data as arrays, in the model's order of columns."""
    if not model.is_conditional:
        return model._accepts.events(x, name, cast=cast), y
    return model._accepts.condition(x, name, batch=True, cast=cast), (
        None if y is None else model._accepts.events(y, name, cast=cast)
    )


def _read_weights(name: str, value: Any) -> Any:
    return value if value is None or tf.is_tensor(value) else tables.read(name, value).values


def _check_batch(model: Any, batch: Any, name: str, stream: bool = True) -> tuple[Any, np.ndarray]:
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    if model.is_conditional and y is None:
        raise ValueError(
            f"A conditional model is fitted with inputs and targets, `fit(condition_inputs, x)`; `{name}` has one part."
        )
    if not model.is_conditional and y is not None and weights is None:
        raise ValueError(
            f"The distribution takes no condition, so the data are inputs alone, `fit(x)`; `{name}` has targets too."
        )
    event = tables.read(name, y if model.is_conditional else x).values
    expected = model.distribution.event_shape.as_list()
    if list(event.shape[1:]) != expected or not event.ndim:
        swapped = model.is_conditional and list(np.shape(tf.nest.flatten(x)[0]))[1:] == expected
        raise ValueError(
            _wrong_shape(name, event.shape, expected)
            + (" The condition comes first, `fit(condition_inputs, x)`: are the two swapped?" if swapped else "")
        )
    if not len(event):
        raise ValueError(f"`{name}` has no rows.")
    inputs, dtype = model._accepts, model.distribution.dtype.as_numpy_dtype
    are_real = event.dtype.kind == "f" and np.issubdtype(dtype, np.floating)  # not those of `Dequantized`
    check_finite("Events", name, event, inputs.columns, dtype if are_real else None)
    model._fittable.check_values(name, event)
    if weights is not None:
        label = "sample_weight" if name == "x" else f"sample_weight of {name}"
        counted = checked_weights(label, weights, len(event), stream) > 0.0
        event, x = event[counted], tf.nest.map_structure(lambda part: np.asarray(part)[counted], x)
    first = min(20_000, max(256, 2**20 // max(1, math.prod(expected))))  # images are large
    if not model.is_conditional:
        return None, event[:first]
    conditions = tf.nest.map_structure(np.asarray, x)
    for condition in tf.nest.flatten(conditions):
        check_finite("Condition inputs", name, condition, inputs.condition_columns)
    return tf.nest.map_structure(lambda condition: condition[:first], conditions), event[:first]


def _wrong_shape(name: str, shape: Any, expected: list[int]) -> str:
    return f"Events in `{name}` must have shape {['n', *expected]}; got {list(shape)}.".replace("'", "")


def checked_weights(name: str, value: Any, rows: int, zeros: bool = False) -> np.ndarray:
    """Weights [rows] or [rows, 1] as float64 [rows], of mean 1; they may be all zero if `zeros`.

    Raises:
      TypeError, ValueError: if they are no numbers, of another length, negative, not finite, or all zero.
    """
    try:
        weights = tables.read(name, value).values.astype(np.float64)
    except TypeError as error:
        raise TypeError(f"{error} It must be one number per row, [{rows}].") from None
    if weights.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"`{name}` must be one number per row, [{rows}]; got shape {list(weights.shape)}.")
    weights = weights.reshape(-1)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if wrong.size:
        raise ValueError(
            f"`{name}` must be finite and not negative, since a negative weight would lower the likelihood of its row; "
            f"{wrong.size} of {rows} are not: row {wrong[0]} has {weights[wrong[0]]:g}. Give rows to ignore weight 0."
        )
    if not weights.any():
        if zeros:
            return weights
        raise ValueError(f"`{name}` must be above 0 for some row; all {rows} are zero.")
    weights = weights / weights.max()  # before the sum, which may overflow
    return weights / weights.mean()
