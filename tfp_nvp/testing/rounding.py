"""How far rounding alone takes a right result from another right result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

#: Units of rounding by which one layer of a right flow may be off, relative to 1 + |x|. The conformance cases need up
#: to 0.7 of a unit on a processor with AVX-512, and less than 0.1 in most.
UNITS_PER_LAYER = 2.0


def rounding_error(log_prob: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, num_layers: int) -> tf.Tensor:
    """The error of log p(x) [...], in nats, that rounding x [..., *event] explains, to first order.

        units · eps · num_layers · Σᵢ (|xᵢ| + 1) |∂ log p / ∂xᵢ|

    Samples come out of a chain of `num_layers` layers, each of which rounds. Where the density is steep, as near a
    bound or in a narrow mode, their log-density is another one by this much, however right both passes are. Two
    compilers, or two processors, round differently.

    Args:
      log_prob: from x to log-densities.
      x: samples.
      num_layers: how many layers a sample went through.
    """
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(log_prob(x))
    slopes = tf.abs(tape.gradient(total, x)) * (tf.abs(x) + 1.0)
    batch_rank = log_prob(x).shape.rank
    steepness = tf.reduce_sum(slopes, axis=list(range(batch_rank, x.shape.rank)))
    return UNITS_PER_LAYER * np.finfo(x.dtype.as_numpy_dtype).eps * num_layers * steepness
