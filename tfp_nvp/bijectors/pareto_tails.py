"""Heavy tails with a learned index."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors._approach import clamp
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector, Step

#: Tail weights λ: below the least the tail is an exponential one but for rounding, and a sample of the greatest passes
#: the largest float32 with probability 1e-9.
LEAST, MOST = 1e-3, 4.0
#: Where a tail has fewer values than this, its weight stays as it starts.
_LEAST_VALUES = 20
#: No |z| further out gives another x, whatever λ is, in float64 either.
_FARTHEST = 2e3


class ParetoTails(Bijector):
    """Turns the Gaussian tails of the elements of `mask` into those of generalized Pareto distributions.

        x = ± (exp(λ t) − 1) / λ,    t = −log erfc(|z| / √2),    λ = λ₊ where z > 0, else λ₋
        log |dx/dz| = λ t + log √(2/π) − log erfcx(|z| / √2)

    on these elements, x = z on the others. |x| of a standard normal z is generalized Pareto of shape λ: P(|x| > r)
    falls as r^(−1/λ), so moments of order 1/λ and above are infinite. λ₋ and λ₊ are weights, one pair for each element,
    between 1e-3, where tails are as of an exponential distribution, and 4.

    Student's t of ν degrees of freedom has λ = 1/ν on both sides. The map is increasing, with a slope of 0.8 at 0.

    |x| is at most a fourth of the greatest number of the dtype for λ = 1e-3, less for others; beyond, where a standard
    normal has less than 1e-9, it is constant.

    Args:
      mask: boolean [d], `True` where the map applies.
      tail_weight: where λ starts, from 1e-3 to 4: a number, or an array that broadcasts to [2, d], lower tails first.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if the mask is no vector of booleans, or a weight is out of range.

    >>> tails = ParetoTails([True], tail_weight=0.5)
    >>> [round(float(x)) for x in tails.forward([[0.0], [3.0], [-5.0]])[:, 0]]
    [0, 36, -2639]

    References: Hickling & Prangle (2024), "Flexible Tails for Normalizing Flows", arXiv:2406.16971, section 3; Jaini,
    Kobyzev, Yu & Brubaker (2020), "Tails of Lipschitz Triangular Flows", arXiv:1907.04481, on why a flow of linear
    tails has those of its base.
    """

    def __init__(self, mask: Any, *, tail_weight: Any = 0.5, dtype: Any = "float32", name: str = "pareto_tails"):
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.ndim != 1:
            raise TypeError(f"`mask` must be a boolean vector; got {mask.dtype} of shape {mask.shape}.")
        start = checks.numbers_in("tail_weight", tail_weight, checks.Interval(LEAST, MOST))
        super().__init__(event_shape=mask.shape, dtype=dtype, name=name)
        self._mask = mask
        self._most = math.log(float(self.dtype.max)) - math.log(4e3)  # of λ t
        self._raw = tf.Variable(_raw_of(np.broadcast_to(start, [2, *mask.shape])), dtype=self.dtype, name="raw")

    @property
    def tail_weights(self) -> tf.Tensor:
        """λ₋ and λ₊ of each element, [2, d]."""
        return tf.minimum(LEAST + tf.math.softplus(self._raw), tf.constant(MOST, self.dtype))

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        """Starts from the estimates of Hill (1975) of the rows x [n, d], each of the n^0.6 largest values of a side."""
        x, weights = np.asarray(x, np.float64), self.tail_weights.numpy().astype(np.float64)
        for side, sign in enumerate((-1.0, 1.0)):
            for i in np.flatnonzero(self._mask):
                values = np.sort((sign * x[:, i])[sign * x[:, i] > 0.0])[::-1]
                count = min(int(len(x) ** 0.6), len(values) // 2)
                if count >= _LEAST_VALUES:
                    weights[side, i] = np.clip(np.log(values[:count] / values[count]).mean(), 0.02, 2.0)
        self._raw.assign(_raw_of(weights))

    def _keeps(self, values: Range) -> bool:
        return bool(np.all(np.isin(values.low, (-np.inf, 0.0)) & np.isin(values.high, (0.0, np.inf))))

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        sign, weight = self._side_of(z)
        size = clamp(self._size(z, sign), 0.0, _FARTHEST)
        exponent = clamp(weight * _steps(size), 0.0, self._most)
        x = sign * tf.math.expm1(exponent) / weight
        return tf.where(self._mask, x, z), self._sum(exponent + _log_slope(size))

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        sign, weight = self._side_of(x)
        size = tf.minimum(self._size(x, sign), x.dtype.max / 1e3)
        exponent = clamp(tf.math.log1p(weight * size), 0.0, self._most)
        z = _size_of(exponent / weight)
        return tf.where(self._mask, sign * z, x), -self._sum(exponent + _log_slope(z))

    def _side_of(self, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """1 or −1 (not 0, so that derivatives at 0 are right), and λ of the side."""
        lower, upper = tf.unstack(self.tail_weights)
        one = tf.ones_like(value)
        return tf.where(value < 0.0, -one, one), tf.where(value < 0.0, lower, upper)

    def _size(self, value: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
        return tf.where(self._mask, sign * value, tf.ones_like(value))

    def _sum(self, log_slope: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.where(self._mask, log_slope, tf.zeros_like(log_slope)), axis=-1)


def _raw_of(weights: np.ndarray) -> np.ndarray:
    """The raw numbers of tail weights: the inverse of a softplus."""
    above = np.maximum(np.asarray(weights, np.float64) - LEAST, 1e-6)
    return above + np.log(-np.expm1(-above))


def _steps(size: tf.Tensor) -> tf.Tensor:
    """t = −log erfc(|z| / √2) of |z|."""
    return size**2 / 2.0 - _log_erfcx(size)


def _log_slope(size: tf.Tensor) -> tf.Tensor:
    """log dt/d|z| of |z|."""
    return 0.5 * math.log(2.0 / math.pi) - _log_erfcx(size)


def _log_erfcx(size: tf.Tensor) -> tf.Tensor:
    """log erfcx(|z| / √2), of order −log |z| far out."""
    return tfp.math.logerfcx(size / math.sqrt(2.0))


@tf.custom_gradient
def _size_of(steps: tf.Tensor) -> Any:
    """|z| of t, by Newton's method from the quantile of a normal, far out from t ≈ z² / 2 + log z + log √(π/2)."""
    far = steps > 20.0
    near = -tf.math.ndtri(0.5 * tf.exp(-tf.where(far, tf.ones_like(steps), steps)))
    distant = tf.where(far, steps, 20.0 * tf.ones_like(steps))
    size = tf.maximum(tf.where(far, tf.sqrt(2.0 * distant - tf.math.log(math.pi * distant)), near), 0.0)
    for _ in range(3):  # the start is right to 5e-3
        log_erfcx = _log_erfcx(size)
        rest = size**2 / 2.0 - log_erfcx - steps
        size -= rest * tf.exp(log_erfcx) * math.sqrt(math.pi / 2.0)
    # Of this function again, so that its own gradient is right.
    return size, lambda upstream: upstream * tf.exp(-_log_slope(_size_of(steps)))
