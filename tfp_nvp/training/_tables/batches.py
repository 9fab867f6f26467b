"""Batches of a table that fits in memory."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def shuffled_batches(
    x: np.ndarray, condition: np.ndarray | None, step: np.ndarray, batch_size: int, seed: int
) -> tf.data.Dataset:
    """An endless stream of full batches; each pass over the rows has a new order.

    The order is a pseudorandom permutation of row indices, computed batch by batch,
    so nothing is copied or buffered. New uniform noise in ±step / 2 is added to x each time.

    Args:
      x: float32 [n, d], n at least `batch_size`.
      condition: float32 [n, k], or None.
      step: [d], 0 for columns without noise.
      batch_size: rows of a batch.
      seed: of orders and noise.

    Returns:
      A dataset of `(x,)`, or of `(condition, x)`.
    """
    rows, batches = len(x), len(x) // batch_size
    x = tf.constant(x)
    condition = None if condition is None else tf.constant(condition)

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        epoch, place = number // batches, number % batches
        index = tf.random.experimental.index_shuffle(
            place * batch_size + tf.range(batch_size, dtype=tf.int64), tf.stack([seed, epoch]), rows - 1
        )
        picked = with_noise(tf.gather(x, index), step, tf.stack([epoch, number + seed]))
        return (picked,) if condition is None else (tf.gather(condition, index), picked)

    numbers = tf.data.Dataset.range(np.iinfo(np.int64).max)
    return numbers.map(batch, num_parallel_calls=2, deterministic=True).prefetch(8)


def with_noise(x: tf.Tensor, step: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
    """x [n, d] plus uniform noise in ±step / 2."""
    if not step.any():
        return x
    noise = tf.random.stateless_uniform(tf.shape(x), seed, -0.5, 0.5, x.dtype)
    return x + noise * tf.constant(step, x.dtype)
