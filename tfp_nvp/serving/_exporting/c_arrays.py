"""Arrays and numbers in C."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

_TYPES = {tf.bool: "unsigned char", tf.int32: "int32_t", tf.int64: "int64_t", tf.uint32: "uint32_t"}


class UnsupportedOperation(ValueError):
    """An operation that has no translation."""


class Array(NamedTuple):
    """A tensor in C: its shape and dtype, and its value if that is known, else the C expression of its address."""

    shape: tuple[int, ...]
    dtype: tf.DType
    value: np.ndarray | None = None
    address: str = ""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def c_type(dtype: tf.DType) -> str:
    """The type of an array's elements.

    Raises:
      UnsupportedOperation: if there is none.
    """
    if dtype in (tf.float32, tf.float64):
        return "real"
    if dtype not in _TYPES:
        raise UnsupportedOperation(f"{dtype.name} has no translation to C")
    return _TYPES[dtype]


def literal(value: Any) -> str:
    """A number in C."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, np.floating):
        number = float(value)
        if math.isnan(number):
            return "NAN"
        if math.isinf(number):
            return "INFINITY" if number > 0 else "(-INFINITY)"
        # A float is written by as many digits as tell it from its neighbours, and read as the same float.
        text = repr(number) if value.dtype == np.float64 else f"{number:.9g}"
        text = text if any(c in text for c in ".en") else f"{text}.0"
        if value.dtype == np.float32:
            text += "f"
        return f"({text})" if number < 0 else text
    number = int(value)
    if value.dtype == np.uint32:
        return f"{number}u"
    return f"({number})" if number < 0 else str(number)
