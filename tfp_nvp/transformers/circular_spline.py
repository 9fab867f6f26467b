"""Splines of a circle onto itself."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._circle import wrapped
from tfp_nvp._finite import limit
from tfp_nvp.transformers._spline import Spline

#: The direction (1 + a, b) of the phase is held so far from the origin in derivatives, which grow as 1 / distance.
_NEAREST = 1e-3


class CircularSpline(Spline):
    """A spline of rational quadratics on a circle [low, high), then a rotation.

        x = low + (s(z) − low + φ) mod (high − low),    φ = (high − low) / 2π · atan2(b, 1 + a)

    s is the spline of `RationalQuadratic` from the interval onto itself, whose slopes at both ends are one learned
    number: so dx/dz is continuous all around the circle, and so is every density made of it. Values beyond the
    interval are wrapped into it.

    3 k + 2 raw numbers per element, for k bins: k widths, k heights and k slopes as those of `RationalQuadratic`, then
    a and b. Zeros give the identity. The phase is the direction of a vector and not a number, so that a network of
    another angle can turn it once around as that angle goes around.

    Values, gradients and second derivatives are finite for every finite input, with the least sizes of
    `RationalQuadratic`. Derivatives by a and b grow as one over the length of (1 + a, b), down to 1e-3; closer to the
    origin they fall to zero.

    The base must lie on the circle, as `distributions.TorusNormal` and `tfd.Uniform(low, high)` do, and networks should
    see the elements through `conditioners.PeriodicFeatures`.

    Args:
      num_bins: k, at least 2.
      low, high: ends of the circle, which are one point, in units of z and x: 2e-3 to 2e6 apart, and no further from 0
        than ten thousand periods. Radians by default.
      min_width, min_height: least width and height of a bin as a fraction of the period; `num_bins` times either must
        stay below 1.
      min_slope: least slope at a knot, below 1.

    Raises:
      ValueError: if an argument is out of its range; when a layer is made, or the spline used, in a dtype that can't
        carry the sizes.

    >>> spline = CircularSpline(num_bins=4, low=0.0, high=24.0)
    >>> x, log_det = spline.forward(tf.constant([1.5, 25.5]), tf.zeros([spline.num_parameters, 2]))
    >>> [round(float(v), 5) for v in x]
    [1.5, 1.5]

    References: Rezende, Papamakarios, Racanière, Albergo, Kanwar, Shanahan & Cranmer (2020), "Normalizing Flows on Tori
    and Spheres", arXiv:2002.02428, section 2.1.2.
    """

    def __init__(
        self,
        *,
        num_bins: int = 8,
        low: float = -math.pi,
        high: float = math.pi,
        min_width: float = 1e-3,
        min_height: float = 1e-3,
        min_slope: float = 1e-3,
    ):
        self.low, self.high = (checks.number(*end, checks.Interval()) for end in (("low", low), ("high", high)))
        period = self.high - self.low
        if not 2e-3 <= period <= 2e6:
            raise ValueError(f"`high` must be 2e-3 to 2e6 above `low`; got {low} and {high}. Scale the data.")
        if max(abs(self.low), abs(self.high)) > 1e4 * period:
            raise ValueError(
                f"`low` and `high` must be within ten thousand periods of 0; got {low} and {high}. Subtract a constant "
                "from the data."
            )
        super().__init__(num_bins, period / 2.0, min_width, min_height, min_slope)

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return 3 * self.num_bins + 2

    @property
    def domain(self) -> tuple[float, float]:
        return self.low, self.high

    def is_increasing(self, raw: tf.Tensor) -> tf.Tensor:
        """True: it goes around as z does."""
        return tf.ones(tf.shape(raw)[1:], tf.bool)

    def _apply(self, value: tf.Tensor, raw: tf.Tensor, inverse: bool) -> tuple[tf.Tensor, tf.Tensor]:
        self.check_dtype(value.dtype)
        center, most = self.low + self.bound, limit(value.dtype)

        @tf.custom_gradient
        def circle(value: tf.Tensor, raw: tf.Tensor) -> Any:
            (a, b), zero = tf.unstack(raw[-2:]), tf.zeros_like(value)
            unit = self.bound / math.pi
            phase = unit * _direction(a, b)
            # Turned around the center, where rounding is that of the angle, and not of `low`.
            angle = wrapped(value, self.low, self.high) - center
            angle = wrapped(angle - phase if inverse else angle, -self.bound, self.bound)
            is_number = ~tf.math.is_nan(angle)
            piece = self._within(tf.where(is_number, angle, zero), raw[:-2], inverse)
            turned = piece.result if inverse else wrapped(piece.result + phase, -self.bound, self.bound)
            result = wrapped(center + turned, self.low, self.high)

            def gradient(g_result: tf.Tensor, g_log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                g_result = tf.clip_by_value(g_result, -most, most)
                g_value, g_raw = piece.gradient(g_result, g_log_det)
                g_phase = unit * (-g_value if inverse else g_result)
                return g_value, tf.concat([g_raw, _direction_gradient(a, b, g_phase)], axis=0)

            return (tf.where(is_number, result, angle), piece.log_det), gradient

        return circle(value, raw)

    def _knots(self, raw: list[tf.Tensor], zero: tf.Tensor) -> list[tf.Tensor]:
        return [*raw, raw[0]]

    def _numbers(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        is_last = tf.equal(index, tf.constant(self.num_bins - 1.0, index.dtype))
        return index, tf.where(is_last, tf.zeros_like(index), index + 1.0)


def _direction(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """atan2(b, 1 + a), with the derivatives of `_direction_gradient`."""

    @tf.custom_gradient
    def direction(a: tf.Tensor, b: tf.Tensor) -> Any:
        return tf.atan2(b, 1.0 + a), lambda upstream: _direction_gradient(a, b, upstream)

    return direction(a, b)


def _direction_gradient(a: tf.Tensor, b: tf.Tensor, upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients of a and b, given that of atan2(b, 1 + a)."""
    x, y = 1.0 + a, b
    size = tf.maximum(tf.maximum(tf.abs(x), tf.abs(y)), _NEAREST)
    x_share, y_share = x / size, y / size  # a sum of squares could overflow
    scaled = upstream / tf.maximum(x_share**2 + y_share**2, 1.0) / size
    return -scaled * y_share, scaled * x_share
