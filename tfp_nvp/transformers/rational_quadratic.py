"""The rational-quadratic spline transformer of neural spline flows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.transformers.transformer import Transformer


class _Bin(NamedTuple):
    """The spline's piece that a value falls in; every field has the value's shape."""

    left: tf.Tensor  # z at the left knot
    width: tf.Tensor
    bottom: tf.Tensor  # x at the left knot
    height: tf.Tensor
    slope: tf.Tensor  # dx/dz at the left knot, δ₀
    next_slope: tf.Tensor  # dx/dz at the right knot, δ₁


class RationalQuadratic(Transformer):
    """A monotone spline of rational quadratics on [-bound, bound], the identity outside.

    In the bin of z, with θ = (z − left) / width, s = height / width and knot slopes δ₀, δ₁:

        x = bottom + height · (s θ² + δ₀ θ (1 − θ)) / (s + (δ₀ + δ₁ − 2 s) θ (1 − θ))
        dx/dz = s² (δ₁ θ² + 2 s θ (1 − θ) + δ₀ (1 − θ)²) / (s + (δ₀ + δ₁ − 2 s) θ (1 − θ))²

    3 k − 1 raw numbers per element, for k bins: k widths and k heights (each through a
    softmax), k − 1 slopes of the inner knots (through a softplus, held between min_slope and
    1 / min_slope). The outer slopes are 1, so the tails join smoothly. Zeros give the identity.

    Values and gradients are finite for every finite input, on the knots and at ±1e30.

    Args:
      num_bins: k, at least 2.
      bound: half the length of the interval, positive, in units of z and x.
      min_width, min_height: least width and height of a bin as a fraction of the
        interval, positive; `num_bins` times either must stay below 1.
      min_slope: least slope at a knot, in (0, 1).

    Raises:
      ValueError: if an argument is out of its range.

    >>> spline = RationalQuadratic(num_bins=4)
    >>> z = tf.constant([-7.0, 0.3])
    >>> x, log_det = spline.forward(z, [tf.zeros([2])] * spline.num_parameters)
    >>> [round(float(v), 5) for v in x]
    [-7.0, 0.3]

    References: Durkan, Bekasov, Murray & Papamakarios (2019), "Neural Spline Flows",
    arXiv:1906.04032, section 3.1 and appendix A.1; the minimum sizes are those of its code.
    """

    def __init__(
        self,
        *,
        num_bins: int = 8,
        bound: float = 5.0,
        min_width: float = 1e-3,
        min_height: float = 1e-3,
        min_slope: float = 1e-3,
    ):
        self.num_bins = checks.integer("num_bins", num_bins, 2)
        self.bound = checks.positive("bound", bound)
        self.min_width = checks.positive("min_width", min_width)
        self.min_height = checks.positive("min_height", min_height)
        self.min_slope = checks.positive("min_slope", min_slope)
        for name in ("min_width", "min_height"):
            if num_bins * getattr(self, name) >= 1.0:
                raise ValueError(
                    f"`{name}` times `num_bins` must be below 1; got {getattr(self, name)} × {num_bins}. Lower either."
                )
        if self.min_slope >= 1.0:
            raise ValueError(f"`min_slope` must be below 1, the slope of the tails; got {min_slope}.")

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return 3 * self.num_bins - 1

    def forward(self, z: tf.Tensor, raw: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        inside = tf.abs(z) < self.bound
        # The tails take the spline at 0 and drop it, so that neither it nor its gradient overflows.
        inner = tf.where(inside, z, tf.zeros_like(z))
        piece = self._bin_of(inner, raw, by_height=False)
        theta = (inner - piece.left) / piece.width
        x, log_slope = _evaluate(theta, piece)
        return tf.where(inside, x, z), tf.where(inside, log_slope, tf.zeros_like(log_slope))

    def inverse(self, x: tf.Tensor, raw: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        inside = tf.abs(x) < self.bound
        inner = tf.where(inside, x, tf.zeros_like(x))
        piece = self._bin_of(inner, raw, by_height=True)
        theta = _solve((inner - piece.bottom) / piece.height, piece)
        z = piece.left + piece.width * theta
        _, log_slope = _evaluate(theta, piece)
        return tf.where(inside, z, x), tf.where(inside, -log_slope, tf.zeros_like(log_slope))

    def _bin_of(self, value: tf.Tensor, raw: Sequence[tf.Tensor], by_height: bool) -> _Bin:
        """The bin that holds `value` (an x if `by_height`, else a z).

        Walks the knots from left to right and keeps what lies right of each that `value`
        has passed. Written out bin by bin, on tensors of the value's shape, all of it
        fuses into one loop: no gather, and no axis of `num_bins` in memory.
        """
        k = self.num_bins
        widths = self._sizes(raw[:k], self.min_width)
        heights = self._sizes(raw[k : 2 * k], self.min_height)
        unit = tf.zeros_like(raw[0])  # a raw slope of zero is a slope of one
        slopes = [unit, *raw[2 * k :], unit]
        left = bottom = tf.fill(tf.shape(widths[0]), tf.constant(-self.bound, widths[0].dtype))
        piece = _Bin(left, widths[0], bottom, heights[0], slopes[0], slopes[1])
        for j in range(1, k):
            left, bottom = left + widths[j - 1], bottom + heights[j - 1]
            passed = value >= (bottom if by_height else left)
            here = _Bin(left, widths[j], bottom, heights[j], slopes[j], slopes[j + 1])
            piece = _Bin(*(tf.where(passed, new, old) for new, old in zip(here, piece, strict=True)))
        return piece._replace(slope=self._slope(piece.slope), next_slope=self._slope(piece.next_slope))

    def _sizes(self, raw: Sequence[tf.Tensor], minimum: float) -> list[tf.Tensor]:
        """Softmax over `raw`, floored at `minimum`, scaled to fill the interval."""
        largest = raw[0]
        for value in raw[1:]:
            largest = tf.maximum(largest, value)
        largest = tf.stop_gradient(largest)
        weights = [tf.exp(value - largest) for value in raw]
        unit = 2.0 * self.bound * (1.0 - minimum * len(raw)) / tf.add_n(weights)
        return [2.0 * self.bound * minimum + weight * unit for weight in weights]

    def _slope(self, raw: tf.Tensor) -> tf.Tensor:
        """min_slope + softplus(raw + c), at most 1 / min_slope, with c such that zero gives one."""
        offset = math.log(math.expm1(1.0 - self.min_slope))
        return tf.minimum(self.min_slope + tf.math.softplus(raw + offset), 1.0 / self.min_slope)


def _evaluate(theta: tf.Tensor, piece: _Bin) -> tuple[tf.Tensor, tf.Tensor]:
    """x and log dx/dz at the fraction θ of a bin."""
    s = piece.height / piece.width
    rest = 1.0 - theta
    mixed = theta * rest
    # s + (δ₀ + δ₁ − 2 s) θ (1 − θ), grouped into two positive terms: it can't cancel to zero.
    denominator = s * (1.0 - 2.0 * mixed) + (piece.slope + piece.next_slope) * mixed
    x = piece.bottom + piece.height * (s * theta**2 + piece.slope * mixed) / denominator
    numerator = piece.next_slope * theta**2 + 2.0 * s * mixed + piece.slope * rest**2
    return x, 2.0 * tf.math.log(s) + tf.math.log(numerator) - 2.0 * tf.math.log(denominator)


def _solve(u: tf.Tensor, piece: _Bin) -> tf.Tensor:
    """The fraction θ at which the spline has risen by the fraction u of its bin's height.

    A root of a θ² + b θ + c = 0 (equations 6 to 8 of the paper, divided by the height) with
    b = δ₀ − u σ, a = s − b, c = −s u, σ = δ₀ + δ₁ − 2 s. Its discriminant b² − 4 a c is
    (δ₀ − u (δ₀ + δ₁))² + 4 s² u (1 − u): two terms that are never negative, nor both zero.
    """
    s = piece.height / piece.width
    u = tf.clip_by_value(u, 0.0, 1.0)  # rounding of the knots can put it a little outside
    total = piece.slope + piece.next_slope
    b = piece.slope - u * (total - 2.0 * s)
    root = tf.sqrt((piece.slope - u * total) ** 2 + 4.0 * s**2 * u * (1.0 - u))
    # Of the two forms of the root, the one in which nothing cancels.
    numerator = tf.where(b >= 0.0, 2.0 * s * u, root - b)
    denominator = tf.where(b >= 0.0, b + root, 2.0 * (s - b))
    return numerator / denominator
