"""Batch shapes: static (a list of ints) where they are known, a tensor where they are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfp_nvp._portable import is_portable

#: A fully known batch shape as a list, or an int32 vector tensor.
BatchShape: TypeAlias = list[int] | tf.Tensor


def batch_shape(value: tf.Tensor, event_ndims: int) -> BatchShape:
    """The shape of `value` without its last `event_ndims` dimensions."""
    static = value.shape[: value.shape.rank - event_ndims]
    if static.is_fully_defined():
        return static.as_list()
    return tf.shape(value)[: value.shape.rank - event_ndims]


def event_sizes(value: tf.Tensor, event_ndims: int) -> BatchShape:
    """The last `event_ndims` sizes of `value`."""
    static = value.shape[value.shape.rank - event_ndims :]
    return static.as_list() if static.is_fully_defined() else tf.shape(value)[value.shape.rank - event_ndims :]


def rank(shape: BatchShape) -> int:
    """Number of dimensions of a batch shape."""
    return len(shape) if isinstance(shape, list) else int(shape.shape[0])


def broadcast(a: BatchShape, b: BatchShape) -> BatchShape:
    """The shape to which `a` and `b`, of values and of conditions, broadcast by numpy's rules."""
    if isinstance(a, list) and isinstance(b, list):
        try:
            return [int(size) for size in np.broadcast_shapes(tuple(a), tuple(b))]
        except ValueError:
            raise ValueError(
                f"Values and conditions must have batch shapes that broadcast, such as equal ones; got {a} and {b}."
            ) from None
    return tf.broadcast_dynamic_shape(tf.convert_to_tensor(a, tf.int32), tf.convert_to_tensor(b, tf.int32))


def concat(*parts: BatchShape | tuple[int, ...]) -> BatchShape:
    """The concatenation of shapes."""
    if all(isinstance(shape, (list, tuple)) for shape in parts):
        return [size for shape in parts for size in shape]
    return tf.concat([tf.convert_to_tensor(shape, tf.int32) for shape in parts], axis=0)


def reshape(value: tf.Tensor, batch: BatchShape, event: Sequence[int]) -> tf.Tensor:
    """`value` in the shape of a batch and an event; by a constant where only the number of rows is unknown."""
    if rank(batch) == 1 and 0 not in event:
        batch = [-1]
    return tf.reshape(value, concat(batch, list(event)))


def broadcast_batch(value: tf.Tensor, batch: BatchShape, event_ndims: int) -> tf.Tensor:
    """`value` with its batch dimensions broadcast to `batch`; itself if they already are."""
    current = batch_shape(value, event_ndims)
    if isinstance(batch, list) and isinstance(current, list) and batch == current:
        return value
    static, event = value.shape[: value.shape.rank - event_ndims], value.shape[value.shape.rank - event_ndims :]
    if is_portable() and rank(batch) == static.rank and 1 not in static.as_list():
        return value  # a server's rows are as many as its conditions
    result = tf.broadcast_to(value, concat(batch, event_sizes(value, event_ndims)))
    return _ending_in(event, result)


def flatten_batch(value: tf.Tensor, event_ndims: int) -> tf.Tensor:
    """`value` with exactly one batch dimension."""
    if value.shape.rank == event_ndims + 1:
        return value
    event = value.shape[value.shape.rank - event_ndims :]
    count: BatchShape = [-1]
    if 0 in event.as_list():  # TensorFlow can't infer how many events of no numbers there are
        batch = batch_shape(value, event_ndims)
        count = [math.prod(batch)] if isinstance(batch, list) else tf.reduce_prod(batch, keepdims=True)
    return _ending_in(event, tf.reshape(value, concat(count, event_sizes(value, event_ndims))))


def flattened(
    value: tf.Tensor, event_ndims: int, condition: tf.Tensor | None, condition_ndims: int
) -> tuple[tf.Tensor, tf.Tensor | None, BatchShape]:
    """Value and condition, broadcast together, with one batch dimension, and the batch shape of both."""
    batch = batch_shape(value, event_ndims)
    if condition is not None:
        batch = broadcast(batch, batch_shape(condition, condition_ndims))
        condition = flatten_batch(broadcast_batch(condition, batch, condition_ndims), condition_ndims)
    return flatten_batch(broadcast_batch(value, batch, event_ndims), event_ndims), condition, batch


def unflatten_batch(value: tf.Tensor, batch: BatchShape) -> tf.Tensor:
    """`value` [n, ...] with its one batch dimension turned into `batch`."""
    if rank(batch) == 1:
        return value
    result = tf.reshape(value, concat(batch, event_sizes(value, value.shape.rank - 1)))
    return _ending_in(value.shape[1:], result)


def _ending_in(event: tf.TensorShape, value: tf.Tensor) -> tf.Tensor:
    """`value`, whose last dimensions are known to be `event`."""
    if not event.is_fully_defined():
        value.set_shape(tf.TensorShape([None] * (value.shape.rank - event.rank)).concatenate(event))
    return value


def rows_at_once(event_shape: Any) -> int:
    """The number of rows with 2¹⁸ numbers, at least 32: few calls, and little memory."""
    return max(32, 2**18 // max(1, math.prod(event_shape)))
