"""Matrices and kernels stored in half the bytes, and read as what they were."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

#: What weights can be stored in.
HALF = ("float16", "bfloat16")

_ONE_AT_A_TIME = threading.RLock()  # `read_as` changes a class of TensorFlow's


def halved(weights: Sequence[tf.Variable], dtype: str) -> dict[int, tf.Variable]:
    """A variable of `dtype` for each trained weight of rank 2 or more, by the weight's id; the value rounded.

    Others stay as they are, and so do those that are not trained: they are few, the mean of data far from zero
    must not be rounded, and a fixed rotation must stay one.

    Raises:
      ValueError: if `dtype` is not one of `HALF`, or a weight is too large for it.
    """
    if dtype not in HALF:
        raise ValueError(f"`weights_dtype` must be one of {', '.join(HALF)}; got {dtype!r}.")
    largest = tf.as_dtype(dtype).max
    made = {}
    for weight in weights:
        if weight.dtype not in (tf.float32, tf.float64) or weight.shape.rank < 2 or not weight.trainable:
            continue
        if bool(tf.reduce_any(tf.abs(tf.cast(weight, tf.float64)) > tf.cast(largest, tf.float64))):
            raise ValueError(f"`weights_dtype` = {dtype!r} can't hold {weight.name}: numbers above {float(largest):g}.")
        value = tf.cast(weight, dtype)
        made[id(weight)] = tf.Variable(value, trainable=weight.trainable, name=weight.name.split(":")[0])
    return made


@contextlib.contextmanager
def read_as(stored: dict[int, tf.Variable]) -> Iterator[None]:
    """While open, what this thread traces reads a weight from its stored variable, if it has one, and casts it back."""
    if not stored:
        yield
        return
    kind = _class_that_reads()
    with _ONE_AT_A_TIME:
        read, owner = kind._read_variable_op, threading.get_ident()

        def read_stored(self: tf.Variable, *args: object, **kwargs: object) -> tf.Tensor:
            half = stored.get(id(self)) if threading.get_ident() == owner else None
            return read(self, *args, **kwargs) if half is None else tf.cast(read(half), self.dtype)

        kind._read_variable_op = read_stored
        try:
            yield
        finally:
            kind._read_variable_op = read


def _class_that_reads() -> Any:
    """TensorFlow's class of variables, where every read of one goes through."""
    return next(kind for kind in type(tf.Variable(0.0)).__mro__ if "_read_variable_op" in vars(kind))
