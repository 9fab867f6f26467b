"""Numbers on a circle: real numbers that count as equal where they differ by whole periods."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def wrapped(value: tf.Tensor, low: Any, high: Any) -> tf.Tensor:
    """`value` moved by whole periods into [low, high); its derivative is 1 everywhere.

    Args:
      value: [...].
      low, high: numbers or arrays that broadcast to it, of period high − low.
    """
    numpy_dtype = value.dtype.as_numpy_dtype
    ends = [np.asarray(end, numpy_dtype) for end in (low, high)]
    least, most = (tf.constant(end) for end in (ends[0], np.nextafter(ends[1], numpy_dtype(-np.inf))))
    period = tf.constant(np.asarray(np.subtract(high, low, dtype=np.float64), numpy_dtype))

    @tf.custom_gradient
    def wrap(value: tf.Tensor) -> Any:
        turns = tf.floor((value - least) / period)
        # Rounding can leave the interval, by no more than the error of the product.
        return tf.clip_by_value(value - turns * period, least, most), lambda upstream: upstream

    return wrap(value)


def wrapped_columns(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """x [..., d] with the values of periodic columns moved by whole periods into [low, high), in float64.

    Args:
      x: numbers as a user gave them: seconds since 1970 are too large for float32.
      low, high: [d], ±inf for columns that are not periodic.
    """
    periodic = np.isfinite(low) & np.isfinite(high)
    if not periodic.any():
        return x
    x, low, high = np.array(x, np.float64), low[periodic], high[periodic]
    values = x[..., periodic]
    values = values - (high - low) * np.floor((values - low) / (high - low))
    x[..., periodic] = np.where((values >= low) & (values < high), values, low)  # which rounding can leave
    return x
