"""Fitting a flow to the density of a table's rows smoothed by a Gaussian kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors.stock import as_bijector
from tfp_nvp.distributions import Flow
from tfp_nvp.training._models.flow_model import FlowModel

_BATCH, _INITIAL_ROWS, _KERNEL_ROWS, _WARMUP = 512, 20_000, 8192, 100


def kernel_log_prob(x: tf.Tensor, rows: tf.Tensor, noise: float) -> tf.Tensor:
    """log 1/n Σᵢ N(x; rowᵢ, noise² I) of x [m, d] and rows [n, d], [m]."""
    n, d = rows.shape
    # |x − row|² = |x|² − 2 x·row + |row|² is one matrix product; float64, as the sum cancels far from 0.
    precise, others = tf.cast(x, tf.float64), tf.cast(rows, tf.float64)
    squares = tf.reduce_sum(precise**2, -1)[:, tf.newaxis] + tf.reduce_sum(others**2, -1)
    distances = squares - 2.0 * tf.matmul(precise, others, transpose_b=True)
    exponents = tf.cast(distances / (-2.0 * noise**2), x.dtype)
    return tf.reduce_logsumexp(exponents, -1) - math.log(n) - d * math.log(math.sqrt(2.0 * math.pi) * noise)


def smoothed_batches(parts: Sequence[tf.Tensor], noise: float, batch_size: int, seed: int) -> tf.data.Dataset:
    """An endless stream of batches of rows, sampled with replacement, plus Gaussian noise.

    Every part gives equally many rows. Each row is used twice: as row + e, a sample of the smoothed density, and as
    row − u e with u uniform in [0, 1), nearer to the rows, where densities are evaluated later.

    Args:
      parts: each [n, d].
      noise: standard deviation of e.
      batch_size: rows of a batch, rounded up to a multiple of twice the number of parts.
      seed: of rows and noise.

    Returns:
      A dataset of `(x,)`, part by part.
    """
    per_part = -(-batch_size // (2 * len(parts)))

    def batch(number: tf.Tensor) -> tuple[tf.Tensor]:
        keys = tf.random.experimental.stateless_split(tf.stack([tf.constant(seed, tf.int64), number]), 3 * len(parts))
        draws = []
        for i, table in enumerate(parts):
            n, d = table.shape
            rows = tf.gather(table, tf.random.stateless_uniform([per_part], keys[3 * i], 0, n, tf.int64))
            e = noise * tf.random.stateless_normal([per_part, d], keys[3 * i + 1], dtype=table.dtype)
            u = tf.random.stateless_uniform([per_part, 1], keys[3 * i + 2], dtype=table.dtype)
            draws += [rows + e, rows - e * u]
        return (tf.concat(draws, axis=0),)

    numbers = tf.data.Dataset.range(np.iinfo(np.int64).max)
    return numbers.map(batch, num_parallel_calls=2, deterministic=True).prefetch(8)


def fit_smoothed(flow: Flow, rows: tf.Tensor, noise: float, steps: int, seed: int, callbacks: list) -> None:
    """Fits a flow to the density of rows [n, d] smoothed by a Gaussian kernel of deviation `noise`.

    Around the rows of either half of the table, the flow's log-density is regressed on the kernel density estimate of
    the other half. The loss is the mean Huber distance in nats. At most 16,384 rows, chosen at random, are kernel
    centres.
    """
    order = tf.random.experimental.index_shuffle(tf.range(len(rows), dtype=tf.int64), [seed, 0], len(rows) - 1)
    parts = tf.split(tf.gather(rows, order), [len(rows) // 2, len(rows) - len(rows) // 2])
    kernels = [half[:_KERNEL_ROWS] for half in reversed(parts)]

    def loss(x: tf.Tensor, log_prob: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, log_prob.dtype)
        target = [kernel_log_prob(z, kernel, noise) for z, kernel in zip(tf.split(x, 2), kernels, strict=True)]
        error = tf.abs(log_prob - tf.concat(target, axis=0))
        return tf.reduce_mean(tf.where(error < 1.0, 0.5 * error**2, error - 0.5))

    if not as_bijector(flow.bijector).is_initialized:
        first = smoothed_batches(parts, noise, min(2 * len(rows), _INITIAL_ROWS), seed + 2**20)
        flow.initialize(next(iter(first))[0])
    epochs = min(10, steps)
    per_epoch = math.ceil(steps / epochs)
    at_once = max(k for k in range(1, 11) if per_epoch % k == 0)  # Keras rounds an epoch up to a multiple of it
    training = FlowModel(flow)
    training.compile(_optimizer(epochs * per_epoch), loss=loss, jit_compile=True, steps_per_execution=at_once)
    training.fit(
        smoothed_batches(parts, noise, _BATCH, seed),
        epochs=epochs,
        steps_per_epoch=per_epoch,
        callbacks=callbacks,
        verbose=0,
    )


def _optimizer(steps: int) -> keras.optimizers.Optimizer:
    warmup = min(_WARMUP, steps // 2)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), alpha=0.01, warmup_target=2e-3, warmup_steps=warmup
    )
    return keras.optimizers.Adam(rate, global_clipnorm=5.0, use_ema=True, ema_momentum=0.99)
