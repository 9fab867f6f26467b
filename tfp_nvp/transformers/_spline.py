"""Rational-quadratic splines on an interval, whatever is beyond it."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import limit
from tfp_nvp.transformers._one_graph import OneGraph
from tfp_nvp.transformers._partition import Partition, count
from tfp_nvp.transformers._rational_curve import Bin, Curve
from tfp_nvp.transformers.transformer import Transformer, flattening_short_rows

#: Least sizes (as fractions of the interval) and slopes that a dtype can carry: a bin of float32 then holds at least
#: eighty of its numbers, and second derivatives of both directions, the largest numbers that occur, stay below 1e38
#: in float32 and 1e80 in float64 (found by trying knots and their neighbours).
_LEAST = {tf.float32: (1e-5, 1e-3), tf.float64: (1e-9, 1e-9)}


class Piece(NamedTuple):
    """What the spline makes of values within the interval."""

    result: tf.Tensor
    log_det: tf.Tensor
    #: Gradients of the values and of the raw numbers, given those of `result` and of `log_det`.
    gradient: Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Spline(Transformer, abc.ABC):
    """A monotone spline of rational quadratics from [-bound, bound] onto itself.

    A subclass tells which raw number is the slope of which knot, and what becomes of values beyond the interval.

    Args:
      num_bins: k, at least 2.
      bound: half the length of the interval, from 1e-3 to 1e6.
      min_width, min_height: least sizes of a bin as a fraction of the interval.
      min_slope: least slope at a knot, below 1.
    """

    def __init__(self, num_bins: int, bound: float, min_width: float, min_height: float, min_slope: float):
        self.num_bins = checks.integer("num_bins", num_bins, 2)
        self.bound = bound
        self.min_width = checks.positive("min_width", min_width)
        self.min_height = checks.positive("min_height", min_height)
        self.min_slope = checks.positive("min_slope", min_slope)
        for name in ("min_width", "min_height"):
            if num_bins * getattr(self, name) >= 1.0:
                raise ValueError(
                    f"`{name}` times `num_bins` must be below 1; got {getattr(self, name)} × {num_bins}. Lower either."
                )
        if self.min_slope >= 1.0:
            raise ValueError(f"`min_slope` must be below 1; got {min_slope}.")
        self.check_dtype(tf.float64)  # the widest

    def check_dtype(self, dtype: tf.DType) -> None:
        if dtype not in _LEAST:
            raise ValueError(f"{type(self).__name__} computes in float32 or float64; got {dtype.name}.")
        least_size, least_slope = _LEAST[dtype]
        for name, least in (("min_width", least_size), ("min_height", least_size), ("min_slope", least_slope)):
            if getattr(self, name) < least:
                way_out = 'Raise it, or use dtype="float64".' if dtype == tf.float32 else "Raise it."
                raise ValueError(
                    f"`{name}` must be at least {least:g} in {dtype.name}, so that the spline and its derivatives stay "
                    f"finite; got {getattr(self, name)}. {way_out}"
                )

    def in_layers(self) -> Any:
        return OneGraph(self)

    @flattening_short_rows
    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply(z, raw, inverse=False)

    @flattening_short_rows
    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply(x, raw, inverse=True)

    @abc.abstractmethod
    def _apply(self, value: tf.Tensor, raw: tf.Tensor, inverse: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """The map of values [...] and raw numbers [p, ...] of the same shape; its gradient is written out."""

    @abc.abstractmethod
    def _knots(self, raw: list[tf.Tensor], zero: tf.Tensor) -> list[tf.Tensor]:
        """The raw slopes of the k + 1 knots; a raw zero is a slope of one."""

    @abc.abstractmethod
    def _numbers(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Which raw slopes are those of both knots of the bin of a number; of a fixed slope, none of them."""

    def _within(self, inner: tf.Tensor, raw: tf.Tensor, inverse: bool) -> Piece:
        """The spline of values in [-bound, bound]; raw [.., ...] are k widths, k heights, and slopes."""
        k, most = self.num_bins, limit(inner.dtype)  # times derivatives of up to 1e15, it is in the range of float32
        widths = Partition(raw[:k], self.min_width, self.bound)
        heights = Partition(raw[k : 2 * k], self.min_height, self.bound)
        piece, raw_slopes, left_rest, bottom_rest = self._bin_of(inner, widths, heights, raw[2 * k :], inverse)
        if inverse:
            curve = Curve(piece.solve(((inner - piece.bottom) - bottom_rest) / piece.height), piece)
            result, log_det = piece.left + (left_rest + curve.run()), -curve.log_slope()
        else:
            curve = Curve(((inner - piece.left) - left_rest) / piece.width, piece)
            result, log_det = piece.bottom + (bottom_rest + curve.rise()), curve.log_slope()
        number_of_slopes = raw.shape[0] - 2 * k

        def gradient(g_result: tf.Tensor, g_log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            upstream = tf.clip_by_value(g_result, -most, most), g_log_det
            g_inner, g = curve.inverse_gradient(*upstream) if inverse else curve.gradient(*upstream)
            g_raw = [
                widths.gradient(piece.index, piece.left, piece.width, g.left, g.width),
                heights.gradient(piece.index, piece.bottom, piece.height, g.bottom, g.height),
                self._slopes_gradient(number_of_slopes, piece, raw_slopes, g),
            ]
            return g_inner, tf.concat(g_raw, axis=0)

        return Piece(result, log_det, gradient)

    def _bin_of(
        self, value: tf.Tensor, widths: Partition, heights: Partition, slopes: tf.Tensor, by_height: bool
    ) -> tuple[Bin, list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """The bin that holds `value` (an x if `by_height`, else a z), the raw slopes of its knots, and what rounding
        took from its left and its bottom."""
        zero = tf.zeros_like(value)
        knots = self._knots(tf.unstack(slopes), zero)
        sizes = widths.sizes(), heights.sizes()
        starts = widths.starts(sizes[0]), heights.starts(sizes[1])
        low, high = (heights if by_height else widths).positions(value)
        pieces = list(zip(*starts, *sizes, knots[:-1], knots[1:], strict=True))
        chosen = [zero, *pieces[0]]
        for i in range(1, self.num_bins):
            passed = (low if i < widths.half else high) >= starts[by_height][i]
            chosen = [tf.where(passed, new, old) for new, old in zip([zero + i, *pieces[i]], chosen, strict=True)]
        index, left, bottom, width, height, *raw_slopes = chosen
        left, left_rest = widths.knot(left, index)
        bottom, bottom_rest = heights.knot(bottom, index)
        piece = Bin(index, left, widths.length(width), bottom, heights.length(height), *map(self._slope, raw_slopes))
        return piece, raw_slopes, left_rest, bottom_rest

    def _slope(self, raw: tf.Tensor) -> tf.Tensor:
        """min_slope + softplus(raw + c), at most 1 / min_slope, with c such that zero gives one."""
        return tf.minimum(self.min_slope + tf.math.softplus(raw + self._slope_offset), 1.0 / self.min_slope)

    def _slopes_gradient(self, number_of_slopes: int, piece: Bin, raw: list[tf.Tensor], g: Bin) -> tf.Tensor:
        """The gradient of all raw slopes [number, ...], given those of the slopes at the bin's two knots."""

        def through_softplus(raw: tf.Tensor, slope: tf.Tensor, g_slope: tf.Tensor) -> tf.Tensor:
            g_slope = tf.where(slope < 1.0 / self.min_slope, g_slope, tf.zeros_like(g_slope))
            return g_slope / (1.0 + tf.exp(tf.minimum(-raw - self._slope_offset, 80.0)))  # e⁸⁰ is below overflow

        g_slope = through_softplus(raw[0], piece.slope, g.slope)
        g_next = through_softplus(raw[1], piece.next_slope, g.next_slope)
        (first, second), number = self._numbers(piece.index), count(number_of_slopes, piece.index)
        return tf.where(tf.equal(first, number), g_slope, tf.where(tf.equal(second, number), g_next, 0.0))

    @property
    def _slope_offset(self) -> float:
        return math.log(math.expm1(1.0 - self.min_slope))
