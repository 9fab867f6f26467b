"""Random sets of known cells, on which an any-order model is trained."""

from __future__ import annotations

import tensorflow as tf


def random_subset(present: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """1 for each cell [n, d] that is known to the network in this step, else 0.

    Of the m cells that a row has, t are known: t is uniform on 0, …, m − 1, spread evenly over the rows of a batch, and
    all sets of t cells are equally likely. So the position t + 1 of a random order is asked for, as in algorithm 1 of
    Hoogeboom et al. (2022), "Autoregressive Diffusion Models", arXiv:2110.02037.

    Args:
      present: 1 for cells that have a value, else 0, [n, d].
      seed: two integers.
    """
    n = tf.shape(present)[0]
    u = tf.random.stateless_uniform(tf.shape(present), seed)
    place = tf.random.stateless_uniform([n], seed + tf.constant([0, 1 << 20], seed.dtype))
    place = (tf.cast(tf.range(n), tf.float32) + place) / tf.cast(tf.maximum(n, 1), tf.float32)
    count = tf.floor(tf.minimum(place, 1.0 - 1e-6) * tf.reduce_sum(present, axis=1))
    u = tf.where(present > 0, u, 2.0)
    in_order = tf.sort(u, axis=1)
    least_unknown = tf.gather(in_order, tf.cast(count, tf.int32), axis=1, batch_dims=1)
    return present * tf.cast(u < least_unknown[:, tf.newaxis], tf.float32)


def estimated_nll(present: tf.Tensor, known: tf.Tensor, log_prob: tf.Tensor) -> tf.Tensor:
    """An unbiased estimate [n] of the mean over all orders of −log p(row), in nats.

        m / (m − t) · Σ over the m − t present cells that are not known of −log p(cell | known)

    Uria, Murray & Larochelle (2014), "A Deep and Tractable Density Estimator", arXiv:1310.1757, equation 6.

    Args:
      present, known: [n, d], of `random_subset`.
      log_prob: log p(cell | known) of each cell [n, d].
    """
    asked = present - known
    m, number = (tf.reduce_sum(flags, axis=1) for flags in (present, asked))
    return -m / tf.maximum(number, 1.0) * tf.reduce_sum(asked * log_prob, axis=1)
