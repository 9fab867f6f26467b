"""Numbers held within the range of their dtype, so that what overflows becomes ±inf, and never inf − inf."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def limit(dtype: Any) -> float:
    """The cube root of a dtype's largest number, 7e12 for float32: a product of two sums of such numbers is finite."""
    dtype = tf.as_dtype(dtype)
    return float(np.cbrt(float(dtype.max)))


def held(value: tf.Tensor) -> tf.Tensor:
    """`value` held to ±limit, and its gradient too. NaN stays NaN.

    For the inputs and outputs of networks. Beyond the limit a network is that of the limit, in both directions of a
    flow, so that it stays invertible; and no gradient of its weights overflows.

    Numbers in bfloat16 stay as they are: to hold them takes as long as to multiply them. They have the range of
    float32, which the units of some layers between inputs and outputs, both of them held, do not leave.
    """
    if value.dtype == tf.bfloat16:
        return value
    most = limit(value.dtype)

    @tf.custom_gradient
    def hold(value: tf.Tensor) -> Any:
        inside = tf.abs(value) <= most

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where(inside, tf.clip_by_value(upstream, -most, most), tf.zeros_like(upstream))

        return tf.clip_by_value(value, -most, most), gradient

    return hold(value)


def with_held_gradient(value: tf.Tensor, power: int = 2) -> tf.Tensor:
    """`value`, whose gradient is held to ±limit^power: of a density that underflows, it would be infinite."""
    most = limit(value.dtype) ** power

    @tf.custom_gradient
    def hold(value: tf.Tensor) -> Any:
        return tf.identity(value), lambda upstream: tf.clip_by_value(upstream, -most, most)

    return hold(value)


def summable(value: tf.Tensor) -> tf.Tensor:
    """`value` held to ±limit², so that a sum of products with weights is finite."""
    most = limit(value.dtype) ** 2
    return tf.clip_by_value(value, -most, most)


def short_of_overflow(value: tf.Tensor) -> tf.Tensor:
    """`value` held to a thousandth of the largest number of its dtype, so that a sum of a few is finite."""
    most = value.dtype.max / 1e3
    return tf.clip_by_value(value, -most, most)


def product(rows: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """rows [n, m] · matrix [m, k], of rows held to ±limit²; rows and gradient, in that of the matrix, to ±limit."""
    most = limit(rows.dtype)

    @tf.custom_gradient
    def multiply(rows: tf.Tensor, matrix: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            factors = (tf.clip_by_value(factor, -most, most) for factor in (rows, upstream))
            return tf.matmul(upstream, matrix, transpose_b=True), tf.matmul(*factors, transpose_a=True)

        return tf.matmul(rows, matrix), gradient

    return multiply(summable(rows), matrix)
