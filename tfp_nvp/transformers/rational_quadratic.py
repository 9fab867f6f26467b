"""The rational-quadratic spline transformer of neural spline flows."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.transformers._one_graph import OneGraph
from tfp_nvp.transformers._partition import Partition, count
from tfp_nvp.transformers._rational_curve import Bin, Curve
from tfp_nvp.transformers.transformer import Transformer, flattening_short_rows


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
        interval, at least 1e-9; `num_bins` times either must stay below 1.
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
            if getattr(self, name) < 1e-9:
                raise ValueError(
                    f"`{name}` must be at least 1e-9, for slopes that stay finite; got {getattr(self, name)}."
                )
            if num_bins * getattr(self, name) >= 1.0:
                raise ValueError(
                    f"`{name}` times `num_bins` must be below 1; got {getattr(self, name)} × {num_bins}. Lower either."
                )
        if self.min_slope >= 1.0:
            raise ValueError(f"`min_slope` must be below 1, the slope of the tails; got {min_slope}.")

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return 3 * self.num_bins - 1

    def in_layers(self) -> Any:
        return OneGraph(self)

    @flattening_short_rows
    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply(z, raw, inverse=False)

    @flattening_short_rows
    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply(x, raw, inverse=True)

    def _apply(self, value: tf.Tensor, raw: tf.Tensor, inverse: bool) -> tuple[tf.Tensor, tf.Tensor]:
        @tf.custom_gradient
        def spline(value: tf.Tensor, raw: tf.Tensor) -> Any:
            inside, zero = tf.abs(value) < self.bound, tf.zeros_like(value)
            # In the tails the spline is evaluated at 0 and discarded, so that neither it nor its gradient overflows.
            inner = tf.where(inside, value, zero)
            k = self.num_bins
            widths = Partition(raw[:k], self.min_width, self.bound)
            heights = Partition(raw[k : 2 * k], self.min_height, self.bound)
            piece, raw_slopes = self._bin_of(inner, widths, heights, raw[2 * k :], inverse)
            if inverse:
                curve = Curve(piece.solve((inner - piece.bottom) / piece.height), piece)
                result, log_det = curve.z(), -curve.log_slope()
            else:
                curve = Curve((inner - piece.left) / piece.width, piece)
                result, log_det = curve.x(), curve.log_slope()

            def gradient(g_result: tf.Tensor, g_log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                upstream = tf.where(inside, g_result, zero), tf.where(inside, g_log_det, zero)
                g_inner, g = curve.inverse_gradient(*upstream) if inverse else curve.gradient(*upstream)
                g_raw = [
                    widths.gradient(piece.index, piece.left, piece.width, g.left, g.width),
                    heights.gradient(piece.index, piece.bottom, piece.height, g.bottom, g.height),
                    self._slopes_gradient(piece, raw_slopes, g),
                ]
                return tf.where(inside, g_inner, g_result), tf.concat(g_raw, axis=0)

            return (tf.where(inside, result, value), tf.where(inside, log_det, zero)), gradient

        return spline(value, raw)

    def _bin_of(
        self, value: tf.Tensor, widths: Partition, heights: Partition, slopes: tf.Tensor, by_height: bool
    ) -> tuple[Bin, list[tf.Tensor]]:
        """The bin that holds `value` (an x if `by_height`, else a z), and the raw slopes of its knots."""
        zero = tf.zeros_like(value)
        knots = [zero, *tf.unstack(slopes), zero]  # a raw zero is a slope of one, as in the tails
        pieces = list(zip(widths.sizes(), heights.sizes(), knots[:-1], knots[1:], strict=True))
        position = (heights if by_height else widths).position(value)
        left = bottom = zero
        chosen = [zero, left, bottom, *pieces[0]]
        for i in range(1, self.num_bins):
            left, bottom = left + pieces[i - 1][0], bottom + pieces[i - 1][1]
            passed = position >= (bottom if by_height else left)
            here = [zero + float(i), left, bottom, *pieces[i]]
            chosen = [tf.where(passed, new, old) for new, old in zip(here, chosen, strict=True)]
        index, left, bottom, width, height, *raw_slopes = chosen
        piece = Bin(
            index,
            widths.length(left) - self.bound,
            widths.length(width),
            heights.length(bottom) - self.bound,
            heights.length(height),
            *map(self._slope, raw_slopes),
        )
        return piece, raw_slopes

    def _slope(self, raw: tf.Tensor) -> tf.Tensor:
        """min_slope + softplus(raw + c), at most 1 / min_slope, with c such that zero gives one."""
        return tf.minimum(self.min_slope + tf.math.softplus(raw + self._slope_offset), 1.0 / self.min_slope)

    def _slopes_gradient(self, piece: Bin, raw: list[tf.Tensor], g: Bin) -> tf.Tensor:
        """The gradient of all raw slopes [k − 1, ...], given those of the slopes at the bin's two knots."""

        def through_softplus(raw: tf.Tensor, slope: tf.Tensor, g_slope: tf.Tensor) -> tf.Tensor:
            g_slope = tf.where(slope < 1.0 / self.min_slope, g_slope, tf.zeros_like(g_slope))
            return g_slope / (1.0 + tf.exp(tf.minimum(-raw - self._slope_offset, 80.0)))  # e⁸⁰ is below overflow

        g_slope = through_softplus(raw[0], piece.slope, g.slope)
        g_next = through_softplus(raw[1], piece.next_slope, g.next_slope)
        index, number = piece.index, count(self.num_bins - 1, piece.index)
        return tf.where(tf.equal(index, number + 1.0), g_slope, tf.where(tf.equal(index, number), g_next, 0.0))

    @property
    def _slope_offset(self) -> float:
        return math.log(math.expm1(1.0 - self.min_slope))
