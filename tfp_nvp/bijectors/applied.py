"""A transformer applied to the last axis of values, with raw numbers from a network."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from tfp_nvp.transformers import Transformer


def apply_transformer(
    transformer: Transformer, value: tf.Tensor, outputs: tf.Tensor, *, inverse: bool, shared: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """`transformer.forward` or `inverse` of a value [..., m], given a network's outputs [..., p · m].

    Where a transformer is large, rows too short to fill a vector register are laid end to end first: splines of two to
    eleven elements run up to twice as fast for it, affine maps a fifth slower.

    Args:
      shared: whether layers of equal transformers may share one graph. Not within a loop or a gradient of one's own,
        where XLA compiles functions within functions for minutes.

    Returns:
      The result [..., m] and the log_det [..., m] of each element.
    """
    raw = tf.stack(tf.split(outputs, transformer.num_parameters, axis=-1))
    transform = transformer.inverse if inverse else transformer.forward
    if value.shape[-1] >= 16 or not transformer.is_large:
        return transform(value, raw)
    if shared:
        transform = _shared(transformer, inverse, value.dtype)
    result, log_det = transform(tf.reshape(value, [-1]), tf.reshape(raw, [transformer.num_parameters, -1]))
    return tf.reshape(result, tf.shape(value)), tf.reshape(log_det, tf.shape(value))


@functools.lru_cache(maxsize=64)
def _shared(transformer: Transformer, inverse: bool, dtype: tf.DType) -> Callable:
    """(value [n], raw [p, n]) → result, log_det [n], for any n: one graph for all layers of equal transformers."""
    shapes = tf.TensorSpec([None], dtype), tf.TensorSpec([transformer.num_parameters, None], dtype)
    transform = transformer.inverse if inverse else transformer.forward
    return tf.function(transform, input_signature=shapes, autograph=False)
