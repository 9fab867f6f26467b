"""How far rounding alone takes a right result from another right result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

#: Units of rounding by which one layer of a right flow may be off, relative to 1 + |x|. The conformance cases need up
#: to 0.7 of a unit on a processor with AVX-512, and less than 0.1 in most.
UNITS_PER_LAYER = 2.0

#: By how much a layer may stretch an error, where nothing closer is known: a spline's steepest slope, 1 / min_slope.
CONDITION = 1_000.0
#: What a wrong formula is off by: no tolerance is larger, however coarse a dtype.
MOST = 0.1


def tolerance(dtype: Any, num_layers: int = 1, condition: float = CONDITION) -> float:
    """The largest error, relative to 1 + |value|, by which two right results may differ.

        2 · units · eps · num_layers · condition,    at most 0.1

    A round trip goes through `num_layers` layers twice. Each is off by some units of rounding, and a layer of that
    condition stretches what came before. This is not the product of the layers' conditions: where all layers stretch
    the same direction no digit is left, and there is nothing to compare. Eager mode and graphs, two compilers, and two
    processors differ by the same roundings.

    Args:
      dtype: of the values.
      num_layers: how many layers the map has.
      condition: the largest slope of a layer, in either direction.

    >>> [f"{tolerance(dtype, num_layers=2):.1e}" for dtype in ("float32", "float64")]
    ['9.5e-04', '1.8e-12']
    """
    eps = 2.0**-7 if tf.as_dtype(dtype) == tf.bfloat16 else float(np.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps)
    return min(MOST, 2.0 * UNITS_PER_LAYER * eps * num_layers * condition)


def tolerance_of(module: Any, dtype: Any) -> float:
    """The tolerance of a bijector or flow: that of its layers, and the accuracy of what is solved in steps."""
    return tolerance(dtype, num_layers(module)) + getattr(getattr(module, "bijector", module), "accuracy", 0.0)


def num_layers(module: Any) -> int:
    """How many layers a bijector or flow is made of; 1 for those of TFP, which do not tell."""
    return len(module.parts()) if hasattr(module, "parts") else 1


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
