"""The logit, from pixels to the real line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors.bijector import Bijector

#: Numbers at most this far beyond a bound count as on it.
ROUNDING = 1e-6


class Logit(Bijector):
    """z = logit(α + (1 − 2 α) x) of each number x in [0, 1].

        log dz/dx = log(1 − 2 α) − log p − log(1 − p),    p = α + (1 − 2 α) x

    With α above zero the map is finite on the bounds; x is then between −α / (1 − 2 α) and 1 + α / (1 − 2 α). Beyond
    these (by more than 1e-6) the log-det is −inf: the density is zero there.

    Args:
      alpha: α in [0, ½): 0.05 in RealNVP, 1e-6 for MNIST in Papamakarios et al. (2017).

    Raises:
      ValueError: if α is out of its range.
      TypeError: when used, for integers.

    >>> [round(float(z), 3) for z in Logit(0.05).inverse(tf.constant([0.0, 0.75, 1.0]))]
    [-2.944, 0.969, 2.944]

    References: Dinh, Sohl-Dickstein & Bengio (2017), arXiv:1605.08803, section 4.1; Papamakarios, Pavlakou & Murray
    (2017), arXiv:1705.07057, section 4.3.
    """

    def __init__(self, alpha: float = 0.05, *, name: str = "logit"):
        self.alpha = checks.fraction("alpha", alpha)
        if self.alpha >= 0.5:
            raise ValueError(f"`alpha` must be below 0.5; got {alpha}.")
        super().__init__(min_event_ndims=0, name=name)

    def _is_increasing(self, **kwargs: Any) -> bool:
        return True

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        width = 1.0 - 2.0 * self.alpha
        x = (tf.sigmoid(z) - self.alpha) / width
        return x, tf.math.log_sigmoid(z) + tf.math.log_sigmoid(-z) - math.log(width)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        if not x.dtype.is_floating:
            raise TypeError(
                f"`x` must hold floating-point numbers; got {x.dtype.name}. "
                "Pixels that are integers belong in tfp_nvp.Dequantized."
            )
        width = 1.0 - 2.0 * self.alpha
        # From both ends, so that neither logarithm loses precision near its end.
        least = tf.constant(x.dtype.as_numpy_dtype(np.finfo(x.dtype.as_numpy_dtype).tiny))
        p, rest = (self.alpha + width * number for number in (x, 1.0 - x))
        log_p, log_rest = (tf.math.log(tf.maximum(number, least)) for number in (p, rest))
        log_det = math.log(width) - log_p - log_rest
        return log_p - log_rest, tf.where(tf.minimum(p, rest) < -ROUNDING, tf.constant(-math.inf, x.dtype), log_det)
