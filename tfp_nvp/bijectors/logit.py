"""The logit, from pixels to the real line."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors._approach import SIGMOID, SPACINGS, Approach, clamp, spacing_inside
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector

#: Numbers at most this far beyond a bound count as on it.
ROUNDING = 1e-6


class Logit(Bijector):
    """z = logit(α + (1 − 2 α) x) of each number x in [0, 1].

        log dz/dx = log(1 − 2 α) − log p − log(1 − p),    p = α + (1 − 2 α) x

    With α above zero the map is finite on the bounds; x is then between −α / (1 − 2 α) and 1 + α / (1 − 2 α). Beyond
    these (by more than 1e-6) the log-det is −inf: the density is zero there.

    As in `Support`, the sigmoid goes on as its tangent closer to a bound than 64 spacings of floating-point numbers,
    so that rounding x moves z by at most 1/128 + 8 eps (1 + |z|). z then lies between log(64 tiny) − 1 = −84 and
    −log(64 eps) + 1 = 12.8 in float32 for α = 0, −704 and 32.9 in float64, ±12.8 and ±32.9 at the least for
    larger α. Beyond, both directions are constant: x is the number next to the bound and never the bound itself.

    Args:
      alpha: α in [0, ½): 0.05 in RealNVP, 1e-6 for MNIST in Papamakarios et al. (2017).

    Raises:
      TypeError, ValueError: if α is no number in its range.
      TypeError: when used, for integers.

    >>> [round(float(z), 3) for z in Logit(0.05).inverse(tf.constant([0.0, 0.75, 1.0]))]
    [-2.944, 0.969, 2.944]

    References: Dinh, Sohl-Dickstein & Bengio (2017), arXiv:1605.08803, section 4.1; Papamakarios, Pavlakou & Murray
    (2017), arXiv:1705.07057, section 4.3.
    """

    def __init__(self, alpha: float = 0.05, *, name: str = "logit"):
        self.alpha = checks.number("alpha", alpha, checks.Interval(0.0, 0.5, closed="left"))
        super().__init__(min_event_ndims=0, name=name)

    @property
    def data_range(self) -> Range:
        beyond = self.alpha / (1.0 - 2.0 * self.alpha)
        return Range(0.0 - beyond, 1.0 + beyond)

    @property
    def saturates(self) -> bool:
        return True

    def _is_increasing(self, **kwargs: Any) -> bool:
        return True

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        width, ends = 1.0 - 2.0 * self.alpha, _ends(self.alpha, z.dtype.as_numpy_dtype)
        upper = z > 0.0
        w_low, w_high = (ends.held(tf.where(here, w, -1.0), end) for here, w, end in ((~upper, z, 0), (upper, -z, 1)))
        below, above = (approach.distance(w) for approach, w in zip(ends.approaches, (w_low, w_high), strict=True))
        x = tf.where(upper, 1.0 - (above - self.alpha) / width, (below - self.alpha) / width)
        return clamp(x, ends.least, ends.most), ends.log_slope(upper, w_low, w_high) - math.log(width)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        if not x.dtype.is_floating:
            raise TypeError(
                f"`x` must hold floating-point numbers; got {x.dtype.name}. "
                "Pixels that are integers belong in tfp_nvp.Dequantized."
            )
        width, ends = 1.0 - 2.0 * self.alpha, _ends(self.alpha, x.dtype.as_numpy_dtype)
        # From both ends, so that neither loses precision near its own.
        p, rest = (self.alpha + width * number for number in (x, 1.0 - x))
        outside = tf.minimum(p, rest) < -ROUNDING
        x = clamp(x, ends.least, ends.most)
        p, rest = (self.alpha + width * number for number in (x, 1.0 - x))
        upper = rest < p
        w_low, w_high = (
            ends.held(ends.approaches[end].latent(tf.where(here, t, 0.25)), end)
            for here, t, end in ((~upper, p, 0), (upper, rest, 1))
        )
        log_det = math.log(width) - ends.log_slope(upper, w_low, w_high)
        return tf.where(upper, -w_high, w_low), tf.where(outside, tf.constant(-math.inf, x.dtype), log_det)


class _Ends(NamedTuple):
    """The map near 0 and near 1, and the least and the greatest x."""

    approaches: tuple[Approach, Approach]
    least: float
    most: float

    def held(self, w: tf.Tensor, end: int) -> tf.Tensor:
        """w, not below that of the bound itself."""
        approach = self.approaches[end]
        return clamp(w, approach.latent_of(0.0), math.inf)

    def log_slope(self, upper: tf.Tensor, w_low: tf.Tensor, w_high: tf.Tensor) -> tf.Tensor:
        low, high = (approach.log_slope(w) for approach, w in zip(self.approaches, (w_low, w_high), strict=True))
        return tf.where(upper, high, low)


@functools.cache
def _ends(alpha: float, dtype: Any) -> _Ends:
    limits = np.finfo(dtype)
    beyond = alpha / (1.0 - 2.0 * alpha)
    edges = SPACINGS * max(float(limits.tiny), float(limits.eps) * alpha), SPACINGS * float(limits.eps)
    low, high = dtype(-beyond), dtype(1.0 + beyond)
    least = float(low) + float(spacing_inside(low, math.inf, dtype))
    most = float(high) - float(spacing_inside(high, -math.inf, dtype))
    return _Ends((Approach(SIGMOID, edges[0]), Approach(SIGMOID, edges[1])), least, most)
