"""Batch shapes: static (a list of ints) where they are known, a tensor where they are not."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import tensorflow as tf

#: A fully known batch shape as a list, or an int32 vector tensor.
BatchShape: TypeAlias = list[int] | tf.Tensor


def batch_shape(value: tf.Tensor, event_ndims: int) -> BatchShape:
    """The shape of `value` without its last `event_ndims` dimensions."""
    static = value.shape[: value.shape.rank - event_ndims]
    if static.is_fully_defined():
        return static.as_list()
    return tf.shape(value)[: value.shape.rank - event_ndims]


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


def broadcast_batch(value: tf.Tensor, batch: BatchShape, event_ndims: int) -> tf.Tensor:
    """`value` with its batch dimensions broadcast to `batch`; itself if they already are."""
    current = batch_shape(value, event_ndims)
    if isinstance(batch, list) and isinstance(current, list) and batch == current:
        return value
    event = value.shape[value.shape.rank - event_ndims :].as_list()
    return tf.broadcast_to(value, concat(batch, event))


def flatten_batch(value: tf.Tensor, event_ndims: int) -> tf.Tensor:
    """`value` with exactly one batch dimension."""
    if value.shape.rank == event_ndims + 1:
        return value
    return tf.reshape(value, (-1, *value.shape[value.shape.rank - event_ndims :]))


def unflatten_batch(value: tf.Tensor, batch: BatchShape) -> tf.Tensor:
    """`value` [n, ...] with its one batch dimension turned into `batch`."""
    if rank(batch) == 1:
        return value
    return tf.reshape(value, concat(batch, value.shape[1:].as_list()))
