"""Turns what a user gives a model into its events and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import tables
from tfp_nvp.training._models.schema import Schema
from tfp_nvp.training._models.standardize import Standardize


class Inputs(NamedTuple):
    """What a model takes.

    Arrays, nested lists, tensors and frames of any real dtype become events and conditions in the dtypes and the
    column order of the model. An `encoder` of the user's own gets its inputs in their own dtypes: they may be text,
    or integers to embed.

    Attributes:
      fittable: the distribution.
      encoder: the layer from condition inputs to the condition, or None.
      schema: names of the columns, or None.
    """

    fittable: Any
    encoder: keras.layers.Layer | None = None
    schema: Schema | None = None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the columns of events that are rows."""
        return None if self.schema is None or self.fittable.event_shape.rank != 1 else self.schema.columns

    @property
    def condition_columns(self) -> tuple[str, ...] | None:
        """Names of the condition's columns."""
        return None if self.schema is None else self.schema.condition_columns

    def events(self, value: Any, name: str = "x", *, cast: bool = True) -> Any:
        """Events as an array or tensor.

        Args:
          value: [..., *event_shape].
          name: of the argument, for messages.
          cast: whether to cast arrays; False leaves them to the graph, and those mapped from a file unread.

        Raises:
          TypeError, ValueError: as `tables.read`; ValueError for columns of other names.
        """
        dtype = self.fittable.dtype
        if _is_tensor(value):
            return _as_tensor(name, value, dtype if dtype.is_floating else None)
        values = tables.in_order(name, tables.read(name, value), self.columns)
        values = values if self.schema is None else self.schema.wrapped(values)
        if dtype.is_floating:
            return _as_dtype(values, dtype) if cast else values
        # Integers keep their dtype, as those of many images would need four times the memory; lists have none.
        return values if hasattr(value, "dtype") else _as_integers(values, dtype)

    def condition(self, value: Any, name: str = "condition", *, batch: bool = False, cast: bool = True) -> Any:
        """Condition inputs as an array, a tensor or a structure of them.

        Args:
          value: [..., *condition_shape]; [n] are n conditions of size 1 if that is the size, and so is a number one.
          name: of the argument, for messages.
          batch: whether `value` is a row for each event, so that [1] of size 1 is one row.
          cast: as for `events`.

        Raises:
          TypeError, ValueError: as for `events`.
        """
        if value is None or self.fittable.condition_shape is None:
            return value
        if self.encoder is not None and not isinstance(self.encoder, Standardize):
            return _structure(name, value, self.condition_columns)
        dtype, size = self.fittable.condition_dtype, self._condition_size()
        if _is_tensor(value):
            value = _as_tensor(name, value, dtype)
            return _in_column(value, batch) if size == 1 else value
        table = tables.read(name, value)
        if size == 1 and table.values.ndim < 2:
            title = None if table.title is None else (table.title,)
            table = tables.Table(_in_column(table.values, batch), title)
        values = tables.in_order(name, table, self.condition_columns)
        return _as_dtype(values, dtype) if cast and dtype is not None else values

    def _condition_size(self) -> int | None:
        """The size of conditions that are vectors."""
        if self.encoder is not None:
            return len(self.encoder.center)
        shape = self.fittable.condition_shape
        return shape[0] if len(shape) == 1 else None


def as_frame_of(samples: tf.Tensor, columns: tuple[str, ...] | None) -> Any:
    """Samples [n, d], or one [d], as a DataFrame with these names, or without.

    Raises:
      ValueError: for samples of another shape.
      ImportError: without pandas.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("`as_frame` needs pandas: pip install pandas") from error
    if samples.shape.rank not in (1, 2):
        raise ValueError(
            f"`as_frame` needs samples [n, d], and these have shape {samples.shape.as_list()}: ask for "
            "`sample(n)`, or for `sample(condition=...)` with a row for each sample."
        )
    return pd.DataFrame(np.atleast_2d(samples.numpy()), columns=None if columns is None else list(columns))


def _structure(name: str, value: Any, columns: Any) -> Any:
    """Inputs of a user's encoder: arrays and tensors in their own dtypes, in the structure given."""
    if isinstance(value, Mapping):
        return {key: _structure(f"{name}[{key!r}]", item, None) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and any(hasattr(item, "shape") and np.ndim(item) for item in value):
        return type(value)(_structure(f"{name}[{i}]", item, None) for i, item in enumerate(value))
    if _is_tensor(value):
        return _as_tensor(name, value, None)
    if tables.is_frame(value):
        return tables.in_order(name, tables.read(name, value, of_numbers=False), columns)
    return tables.read(name, value, of_numbers=False).values


def _is_tensor(value: Any) -> bool:
    return tf.is_tensor(value) or isinstance(value, keras.Variable)


def _as_tensor(name: str, value: Any, dtype: tf.DType | None) -> tf.Tensor:
    """A tensor in `dtype`; in its own if that is None."""
    value = value.value if isinstance(value, keras.Variable) else value
    if dtype is None:
        return value
    if not isinstance(value, (tf.Tensor, tf.Variable)):
        tables.read(name, value)  # raises: sparse or ragged
    if not (value.dtype.is_floating or value.dtype.is_integer or value.dtype.is_bool):
        raise TypeError(f"`{name}` must be a tensor of real numbers; got {value.dtype.name}.")
    return tf.convert_to_tensor(value) if value.dtype == dtype else tf.cast(value, dtype)


def _as_dtype(values: np.ndarray, dtype: tf.DType) -> np.ndarray:
    """Casts numbers to a float dtype, in which those too large are infinite."""
    with np.errstate(over="ignore"):
        return values.astype(dtype.as_numpy_dtype, copy=False)


def _as_integers(values: np.ndarray, dtype: tf.DType) -> np.ndarray:
    """Casts integers to an integer dtype that holds them; other numbers stay, for the distribution to refuse."""
    cast = values.astype(dtype.as_numpy_dtype) if values.dtype.kind in "biu" else values
    return cast if np.array_equal(cast, values) else values


def _in_column(value: Any, batch: bool) -> Any:
    """[n] as [n, 1], and a number as [1]; [1] is one condition already unless it is a batch."""
    rank = value.shape.rank if isinstance(value.shape, tf.TensorShape) else value.ndim
    if rank == 0 or (rank == 1 and (batch or value.shape[0] != 1)):
        return value[..., np.newaxis]
    return value
