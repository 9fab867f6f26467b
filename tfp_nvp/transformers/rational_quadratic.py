"""The rational-quadratic spline transformer of neural spline flows."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

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
    >>> x, log_det = spline.forward(z, tf.zeros([spline.num_parameters, 2]))
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

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        z, raw = _broadcast(z, raw)
        inside = tf.abs(z) < self.bound
        # The tails take the spline at 0 and drop it, so that neither it nor its gradient overflows.
        inner = tf.where(inside, z, tf.zeros_like(z))
        piece = self._bin_of(inner, raw, by_height=False)
        theta = (inner - piece.left) / piece.width
        x, log_slope = _evaluate(theta, piece)
        return tf.where(inside, x, z), tf.where(inside, log_slope, tf.zeros_like(log_slope))

    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, raw = _broadcast(x, raw)
        inside = tf.abs(x) < self.bound
        inner = tf.where(inside, x, tf.zeros_like(x))
        piece = self._bin_of(inner, raw, by_height=True)
        theta = _solve((inner - piece.bottom) / piece.height, piece)
        z = piece.left + piece.width * theta
        _, log_slope = _evaluate(theta, piece)
        return tf.where(inside, z, x), tf.where(inside, -log_slope, tf.zeros_like(log_slope))

    def _bin_of(self, value: tf.Tensor, raw: tf.Tensor, by_height: bool) -> _Bin:
        """The bin that holds `value` (an x if `by_height`, else a z)."""
        k = self.num_bins
        widths, heights, slopes = raw[:k], raw[k : 2 * k], raw[2 * k :]
        if by_height:
            index = self._locate(value, heights, self.min_height)
        else:
            index = self._locate(value, widths, self.min_width)
        left, width = self._pick_size(index, widths, self.min_width)
        bottom, height = self._pick_size(index, heights, self.min_height)
        slope, next_slope = _pick_slopes(index, slopes)
        return _Bin(left, width, bottom, height, self._slope(slope), self._slope(next_slope))

    def _locate(self, value: tf.Tensor, raw: tf.Tensor, minimum: float) -> tf.Tensor:
        """Number of the bin that `value` lies in along the axis cut up by `raw` [k, ...]."""
        knot, index = -self.bound, tf.zeros_like(value)
        for size in tf.unstack(self._sizes(tf.stop_gradient(raw), minimum))[:-1]:
            knot = knot + size
            index += tf.cast(value >= knot, value.dtype)
        return index

    def _pick_size(self, index: tf.Tensor, raw: tf.Tensor, minimum: float) -> tuple[tf.Tensor, tf.Tensor]:
        """Start and size of the bin `index`, with its gradient for `raw` [k, ...] written out.

        With p = softmax(raw), c = 2 · bound · (1 − k · minimum) and upstream gradients g of
        the start and of the size, the gradient of raw_i is c p_i (G_i − Σ_j p_j G_j), where G_i
        is g_start for i < index, g_size for i = index and 0 beyond. Automatic differentiation
        would walk back through every knot instead, at many times the cost.
        """

        @tf.custom_gradient
        def pick(raw: tf.Tensor) -> Any:
            sizes = tf.unstack(self._sizes(raw, minimum))
            knot = start = tf.fill(tf.shape(index), tf.constant(-self.bound, index.dtype))
            size = sizes[0]
            for j in range(1, len(sizes)):
                knot, passed = knot + sizes[j - 1], index >= j
                start, size = tf.where(passed, knot, start), tf.where(passed, sizes[j], size)

            def gradient(g_start: tf.Tensor, g_size: tf.Tensor) -> tf.Tensor:
                shares = _softmax(raw)
                number = _count(raw)
                upstream = tf.where(index > number, g_start, tf.where(tf.equal(index, number), g_size, 0.0))
                mean = tf.reduce_sum(shares * upstream, axis=0)
                return 2.0 * self.bound * (1.0 - minimum * raw.shape[0]) * shares * (upstream - mean)

            return (start, size), gradient

        return pick(raw)

    def _sizes(self, raw: tf.Tensor, minimum: float) -> tf.Tensor:
        """Softmax over the first axis of `raw`, floored at `minimum`, scaled to fill the interval."""
        return 2.0 * self.bound * (minimum + (1.0 - minimum * raw.shape[0]) * _softmax(raw))

    def _slope(self, raw: tf.Tensor) -> tf.Tensor:
        """min_slope + softplus(raw + c), at most 1 / min_slope, with c such that zero gives one."""
        offset = math.log(math.expm1(1.0 - self.min_slope))
        return tf.minimum(self.min_slope + tf.math.softplus(raw + offset), 1.0 / self.min_slope)


def _broadcast(value: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`value` [...] and `raw` [p, ...] at their common shape."""
    if raw.shape.rank == value.shape.rank + 1 and raw.shape[1:].is_compatible_with(value.shape):
        return value, raw
    p, missing = raw.shape[0], value.shape.rank + 1 - raw.shape.rank
    raw = tf.reshape(raw, tf.concat([[p], [1] * missing, tf.shape(raw)[1:]], axis=0))
    shape = tf.broadcast_dynamic_shape(tf.shape(value), tf.shape(raw)[1:])
    return tf.broadcast_to(value, shape), tf.broadcast_to(raw, tf.concat([[p], shape], axis=0))


def _softmax(raw: tf.Tensor) -> tf.Tensor:
    """Softmax over the first axis (`tf.nn.softmax` would transpose to do it over the last)."""
    weights = tf.exp(raw - tf.stop_gradient(tf.reduce_max(raw, axis=0)))
    return weights / tf.reduce_sum(weights, axis=0)


def _count(raw: tf.Tensor) -> tf.Tensor:
    """0, 1, … along the first axis of `raw` [k, ...], of a shape that broadcasts with it."""
    return tf.reshape(tf.range(raw.shape[0], dtype=raw.dtype), [-1] + [1] * (raw.shape.rank - 1))


def _pick_slopes(index: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Raw slopes at the two knots of the bin `index`; zero, a slope of one, at the ends."""

    @tf.custom_gradient
    def pick(raw: tf.Tensor) -> Any:
        slope = next_slope = tf.zeros_like(index)
        for j, knot in enumerate(tf.unstack(raw), 1):
            slope = tf.where(tf.equal(index, j), knot, slope)
            next_slope = tf.where(tf.equal(index, j - 1), knot, next_slope)

        def gradient(g_slope: tf.Tensor, g_next: tf.Tensor) -> tf.Tensor:
            number = _count(raw)
            return tf.where(tf.equal(index, number + 1), g_slope, tf.where(tf.equal(index, number), g_next, 0.0))

        return (slope, next_slope), gradient

    return pick(raw)


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
