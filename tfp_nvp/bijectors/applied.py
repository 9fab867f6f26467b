"""A transformer applied to the last axis of values, with raw numbers from a network."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def apply_transformer(
    transform: Callable, value: tf.Tensor, outputs: tf.Tensor, num_parameters: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """A transformer's `forward` or `inverse` of a value [..., m], given a network's outputs [..., p · m].

    Turned around, the batch is the innermost axis: long and contiguous, where the last axis of
    an event can be too short to vectorize. Splines run twice as fast for it.

    Returns:
      The result [..., m] and the log_det [..., m] of each element.
    """
    raw = tf.transpose(outputs)
    raw = tf.reshape(raw, tf.concat([[num_parameters, raw.shape[0] // num_parameters], tf.shape(raw)[1:]], axis=0))
    result, log_det = transform(tf.transpose(value), raw)
    return tf.transpose(result), tf.transpose(log_det)
