"""From the real line into bounds."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors._approach import EXPONENTIAL, SIGMOID, SOFTPLUS, SPACINGS, Approach, clamp, spacing_inside
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector

#: An interval must hold so many numbers of the dtype, or the map would be one of rounding errors.
LEAST_NUMBERS = 512


class Support(Bijector):
    """Maps each element of a vector from the real line into its bounds.

        both bounds:  x = low + (high − low) · sigmoid(z)
        only low:     x = low + scale · softplus(z),     or  low + scale · exp(z)  where `log` is true
        only high:    x = high − scale · softplus(z),    or  high − scale · exp(z)
        neither:      x = z

    Closer to a bound than an edge, these curves go on as their tangents. The edge is 64 spacings of the dtype's numbers
    at the bound, so floating point resolves all of the map: for z within the limits

        −m₁ = log(64 · spacing(bound) / length) − 1 < z,    for the upper of two bounds z < m₂ alike,

    length being high − low or `scale`, `inverse(forward(z))` is z within 1/128 + 8 eps (1 + |z|), and so are the
    log-dets. At a bound of 0 the limit is −84 in float32 and −704 in float64, at 1 (of the interval from 0 to 1) 13.5
    and 33.6. It is never within ±4.9, beyond which a standard normal has less than 1e-6, because the edge is never
    beyond z = −4; where that shortens it, the error of z is ½ spacing / (0.018 length).

    Beyond the limits both directions are constant: x is the number next to the bound, z the limit, both with
    the log-det of the limit. Their derivative there is that at the limit, not zero. So x is never a bound, and a given
    x on its bound counts as the number next to it, or as one farther inside if `on_bound` says so. Beyond the bounds
    the log-det is −inf: the density is zero there.

    Args:
      low, high: [d], ±inf where there is no bound; low below high.
      scale: [d], positive: a typical distance from a single bound.
      log: boolean [d], for elements with a single bound; by default False.
      edge: (from low, from high), each [d]: distances at which the tangents start, at least and by default
        64 spacings. Give more where closer values are not to be told apart.
      on_bound: (from low, from high), each [d]: distances that a given x on its bound counts as, 0 for the least.
      dtype: of values; bounds are rounded to it.

    Raises:
      ValueError: if the shapes differ, a low is not below its high, or fewer than 512 numbers of `dtype` lie between
        bounds, or within `scale` of a single one.

    >>> Support([0.0], [1.0]).forward([0.0]).numpy().tolist()
    [0.5]
    """

    def __init__(
        self,
        low: Any,
        high: Any,
        *,
        scale: Any = None,
        log: Any = None,
        edge: Any = None,
        on_bound: Any = None,
        dtype: Any = "float32",
        name: str = "support",
    ):
        low, high = checks.numbers_array("low", low), checks.numbers_array("high", high)
        scale = np.ones_like(low) if scale is None else checks.numbers_array("scale", scale)
        log = np.zeros(low.shape, bool) if log is None else np.asarray(log)
        edge, on_bound = (
            [np.zeros_like(low)] * 2 if ends is None else [np.asarray(end, np.float64) for end in ends]
            for ends in (edge, on_bound)
        )
        if low.ndim != 1 or any(other.shape != low.shape for other in (high, scale, log, *edge, *on_bound)):
            raise ValueError(
                "`low`, `high`, `scale`, `log` and both of `edge` and of `on_bound` must be vectors of one shape; "
                f"got {low}, {high}, {scale}, {log}, {edge} and {on_bound}."
            )
        if not (low < high).all():
            raise ValueError(f"`low` must be below `high` in every element; got {low} and {high}.")
        if not ((scale > 0) & np.isfinite(scale)).all():
            raise ValueError(f"`scale` must be positive; got {scale}.")
        for inside in on_bound:
            if not ((inside >= 0.0) & np.isfinite(inside) & (inside < high - low)).all():
                raise ValueError(f"`on_bound` must be distances within the bounds, at least 0; got {inside}.")
        super().__init__(event_shape=low.shape, dtype=dtype, name=name)
        self._low, self._high = (end.astype(self.dtype.as_numpy_dtype) for end in (low, high))
        self._refuse_narrow(scale)
        self._pieces = self._make_pieces(scale, log.astype(bool), edge)
        self._on_bound = on_bound

    @property
    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """The distances from the low and from the high bound, [d] each, at which the tangents start; 0 without one."""
        edges = np.zeros([2, *self._low.shape])
        for piece in self._pieces:
            edges[piece.end] = np.where(piece.mask, piece.length * piece.approach.edge, edges[piece.end])
        return edges[0], edges[1]

    @property
    def data_range(self) -> Range:
        return Range.of(self._low, self._high)

    @property
    def saturates(self) -> bool:
        return True

    def _refuse_narrow(self, scale: np.ndarray) -> None:
        low, high = self._low, self._high
        both = np.isfinite(low) & np.isfinite(high)
        bounds = np.maximum(*(np.where(np.isfinite(end), np.abs(end), 0) for end in (low, high)))
        with np.errstate(over="ignore"):
            length = np.where(both, np.subtract(high, low, where=both, out=np.ones_like(low)), scale)
        least = np.where(np.isfinite(low) | np.isfinite(high), LEAST_NUMBERS * np.spacing(bounds), 0.0)
        narrow = np.flatnonzero((length < least) | ~np.isfinite(length))
        if narrow.size:
            i = narrow[0]
            raise ValueError(
                f"There must be at least {LEAST_NUMBERS} numbers of {self.dtype.name} between `low` and `high`, or "
                f"within `scale` of a single bound; element {i} has bounds {low[i]:.9g} and {high[i]:.9g} and scale "
                f"{scale[i]:.3g}. Subtract a constant from the data, or use float64."
            )

    def _make_pieces(self, scale: np.ndarray, log: np.ndarray, edge: Any) -> list[_Piece]:
        """The parts of the map: each end of two bounds, and single bounds by their curve."""
        dtype = self._low.dtype
        bounds = [np.where(np.isfinite(end), end, 0.0).astype(np.float64) for end in (self._low, self._high)]
        has_low, has_high = np.isfinite(self._low), np.isfinite(self._high)
        both, one = has_low & has_high, has_low ^ has_high
        length = np.where(both, bounds[1] - bounds[0], scale)
        spacings = [spacing_inside(bounds[end], (np.inf, -np.inf)[end], dtype) for end in (0, 1)]
        # x may be a quarter of the greatest number, and x / scale too.
        tiny, far = (np.float64(value) for value in (np.finfo(dtype).tiny, np.finfo(dtype).max / 4))
        reach = far * np.minimum(1.0, scale)
        self._least = np.where(has_low, bounds[0] + spacings[0], np.where(one, -reach, -np.inf)).astype(dtype)
        self._most = np.where(has_high, bounds[1] - spacings[1], np.where(one, reach, np.inf)).astype(dtype)
        pieces = []
        for end, mine in enumerate((has_low, has_high)):
            for mask, curve in ((both, SIGMOID), (one & mine & ~log, SOFTPLUS), (one & mine & log, EXPONENTIAL)):
                if not mask.any():
                    continue
                start = np.maximum(np.maximum(SPACINGS * spacings[end], edge[end]) / length, SPACINGS * tiny)
                approach = Approach(curve, np.where(mask, start, 1e-3))
                last = (
                    np.ones_like(length)
                    if curve is SIGMOID
                    else approach.latent_of(np.where(mask, reach / length, 1.0))
                )
                limits = approach.latent_of(np.where(mask, spacings[end] / length, 0.0)), last
                pieces.append(_Piece(mask, end, bounds[end], length, approach, limits))
        return pieces

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        x, log_slope = z, tf.zeros_like(z)
        for piece in self._pieces:
            here = piece.has_latent(z)
            value, slope = piece.forward(z, here)
            x, log_slope = tf.where(here, value, x), tf.where(here, slope, log_slope)
        return clamp(x, self._least, self._most), tf.reduce_sum(log_slope, axis=-1)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        outside = tf.reduce_any((x < self._low) | (x > self._high), axis=-1)
        for bound, distance, sign in zip((self._low, self._high), self._on_bound, (1.0, -1.0), strict=True):
            if distance.any():
                inwards = tf.constant(sign * distance, x.dtype)
                x += tf.where(tf.equal(x, bound), inwards, tf.zeros_like(x))
        x = clamp(x, self._least, self._most)
        z, log_slope = x, tf.zeros_like(x)
        for piece in self._pieces:
            here = piece.has_value(x, self._low, self._high)
            value, slope = piece.inverse(x, here)
            z, log_slope = tf.where(here, value, z), tf.where(here, slope, log_slope)
        log_det = -tf.reduce_sum(log_slope, axis=-1)
        return z, tf.where(outside, tf.constant(-np.inf, log_det.dtype), log_det)


class _Piece(NamedTuple):
    """One end of the map: x = bound ± length · t(w), where w is z, or −z towards the upper of two bounds."""

    mask: np.ndarray  # elements that have it
    end: int  # 0 for a low bound, 1 for a high one
    bound: np.ndarray
    length: np.ndarray
    approach: Approach
    limits: tuple[np.ndarray, np.ndarray]  # of w

    @property
    def _is_half(self) -> bool:
        return self.approach.curve is SIGMOID

    def has_latent(self, z: tf.Tensor) -> tf.Tensor:
        """Whether the piece maps z, elementwise."""
        if not self._is_half:
            return tf.broadcast_to(self.mask, tf.shape(z))
        return self.mask & ((z > 0.0) if self.end else (z <= 0.0))

    def has_value(self, x: tf.Tensor, low: np.ndarray, high: np.ndarray) -> tf.Tensor:
        """Whether the piece maps to x, elementwise."""
        if not self._is_half:
            return tf.broadcast_to(self.mask, tf.shape(x))
        is_upper = high - x < x - low
        return self.mask & (is_upper if self.end else ~is_upper)

    def forward(self, z: tf.Tensor, here: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """x and log |dx/dz| of z, where it has it."""
        w = -z if self._is_half and self.end else z
        w = clamp(tf.where(here, w, tf.constant(self.approach.curve.safe, z.dtype)), *self.limits)
        distance = tf.constant(self.length, z.dtype) * self.approach.distance(w)
        bound = tf.constant(self.bound, z.dtype)
        return (bound - distance if self.end else bound + distance), self._log_slope(w)

    def inverse(self, x: tf.Tensor, here: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """z and log |dx/dz| of x, where it has it."""
        bound = tf.constant(self.bound, x.dtype)
        t = (bound - x if self.end else x - bound) / tf.constant(self.length, x.dtype)
        w = self.approach.latent(
            tf.where(here, t, self.approach.curve.value(tf.constant(self.approach.curve.safe, x.dtype)))
        )
        return (-w if self._is_half and self.end else w), self._log_slope(w)

    def _log_slope(self, w: tf.Tensor) -> tf.Tensor:
        return self.approach.log_slope(w) + tf.constant(np.log(self.length), w.dtype)
