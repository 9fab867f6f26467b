"""Batches of a table that fits in memory."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def shuffled_batches(
    x: np.ndarray,
    condition: np.ndarray | None,
    batch_size: int,
    seed: int,
    weight: np.ndarray | None = None,
    start: int = 0,
) -> tf.data.Dataset:
    """An endless stream of full batches; each pass over the rows has a new order.

    The order is a pseudorandom permutation of row indices, computed batch by batch,
    so nothing is copied or buffered.

    Args:
      x: float32 [n, d], n at least `batch_size`.
      condition: float32 [n, k], or None.
      batch_size: rows of a batch.
      seed: of the orders.
      weight: float32 [n], or None.
      start: the number of batches to leave out at the beginning.

    Returns:
      A dataset of `(x,)` or `(condition, x)`; with weights of `(x, x, weight)` or `(condition, x, weight)`.
    """
    num_rows, batches = len(x), len(x) // batch_size
    x = tf.constant(x)
    condition, weight = (None if part is None else tf.constant(part) for part in (condition, weight))

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        epoch, place = number // batches, number % batches
        index = tf.random.experimental.index_shuffle(
            place * batch_size + tf.range(batch_size, dtype=tf.int64), tf.stack([seed, epoch]), num_rows - 1
        )
        rows = tf.gather(x, index)
        if weight is None:
            return (rows,) if condition is None else (tf.gather(condition, index), rows)
        return rows if condition is None else tf.gather(condition, index), rows, tf.gather(weight, index)

    numbers = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    return numbers.map(batch, num_parallel_calls=2, deterministic=True).prefetch(8)
