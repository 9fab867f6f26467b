"""Pairs of latents and data, for straight paths that do not cross."""

from __future__ import annotations

import tensorflow as tf

#: Strength of the entropic term, in units of the mean cost, and iterations of Sinkhorn's algorithm.
_REGULARIZATION, _ITERATIONS = 0.05, 30


def optimal_pairs(
    z: tf.Tensor, x: tf.Tensor, condition: tf.Tensor | None, condition_weight: float, seed: tf.Tensor
) -> tf.Tensor:
    """For each row of x [n, *event], the row of z [n, *event] that it is paired with, [n].

    Drawn from the plan of entropic optimal transport between the rows, for the cost |zᵢ − xⱼ|² + w |cᵢ − cⱼ|². The
    condition counts in units of its standard deviation in the batch: a pairing that ignores it would carry latents of
    one condition to data of another, and a latent's distribution would depend on the condition.
    """
    cost = _squared_distances(_flat(z), _flat(x))
    if condition is not None:
        c = _flat(tf.cast(condition, z.dtype))
        c /= tf.maximum(tf.math.reduce_std(c, axis=0), 1e-6)
        cost += condition_weight * _squared_distances(c, c)
    scaled = cost / (_REGULARIZATION * tf.maximum(tf.reduce_mean(cost), 1e-12))
    kernel = tf.exp(tf.reduce_min(scaled, axis=0) - scaled)  # the plan's factors absorb one number for each column
    least, n = 1e-30, tf.shape(z)[0]
    rows = tf.ones([n, 1], z.dtype)
    for _ in range(_ITERATIONS):
        columns = 1.0 / tf.maximum(tf.matmul(kernel, rows, transpose_a=True), least)
        rows = 1.0 / tf.maximum(tf.matmul(kernel, columns), least)
    log_plan = tf.math.log(tf.maximum(kernel * rows, least))  # of column j up to a number
    uniform = tf.random.stateless_uniform(tf.shape(log_plan), seed, 1e-12, 1.0, z.dtype, alg="philox")
    return tf.argmax(log_plan - tf.math.log(-tf.math.log(uniform)), axis=0)  # a draw from each column (Gumbel-max)


def _flat(value: tf.Tensor) -> tf.Tensor:
    return tf.reshape(value, [tf.shape(value)[0], -1])


def _squared_distances(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """|aᵢ − bⱼ|², [n, n]."""
    squares = tf.reduce_sum(a**2, axis=1)[:, tf.newaxis] + tf.reduce_sum(b**2, axis=1)
    return tf.maximum(squares - 2.0 * tf.matmul(a, b, transpose_b=True), 0.0)
