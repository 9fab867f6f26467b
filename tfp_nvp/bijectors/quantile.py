"""Pixels to the real line, through the distribution of their values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._portable import is_portable
from tfp_nvp.bijectors._approach import clamp
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector
from tfp_nvp.bijectors.logit import ROUNDING


class Quantile(Bijector):
    """z = logit(F(x)) of each number x in [0, 1], F the distribution function of the data: z is logistic.

    F is linear within each of n bins of equal width. In bin k, counted from 0,

        F(x) = p₀ + … + p₍ₖ₋₁₎ + pₖ · (n x − k),    log dz/dx = log(n pₖ) − log F − log(1 − F)

    `initialize(x)` sets p from a batch, one histogram for each element of the last axis. Until then the bins
    are equally probable, which makes the layer a `Logit(0)`.

    Use it as the first layer for pixels, of which a few values, such as black, are far more frequent than others: with
    one bin per grey level, each level gets an interval as wide as it is frequent.

    Args:
      event_shape: [d], or [h, w, c] for one histogram per channel.
      num_bins: n, at least 2; for integers their number of levels.
      smoothing: the fraction of p, in (0, 1], that is spread evenly over all bins, so that none is empty.
      dtype: of values.

    Beyond [0, 1] (by more than 1e-6) the log-det is −inf: the density is zero there. z lies between those of the
    numbers next to 0 and to 1: in float32 −87 or, where the first bin is dense, up to log n more, and 20 where the last
    bin has no more than the `smoothing`; in float64 −708 and 40. Beyond, both directions are constant, and x is never 0
    or 1. Close to 1, k spacings of floating-point numbers from it, rounding x moves z by some 1 / 2k, 0.41 at most.

    Raises:
      ValueError: if an argument is out of its range.

    >>> layer = Quantile([1], num_bins=4, smoothing=0.01)
    >>> layer.initialize(tf.constant([[0.1], [0.2], [0.3], [0.9]]))
    >>> round(float(tf.sigmoid(layer.inverse(tf.constant([[0.25]])))[0, 0]), 4)
    0.4975

    References: Chen & Gopinath (2000), "Gaussianization"; Meng, Song, Song & Ermon (2020), "Gaussianization
    Flows", arXiv:2003.01941, section 2.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_bins: int = 256,
        smoothing: float = 0.05,
        dtype: Any = "float32",
        name: str = "quantile",
    ):
        event_shape = checks.shape("event_shape", event_shape, min_rank=1)
        super().__init__(event_shape=event_shape, dtype=dtype, name=name)
        self._event_rank = len(event_shape)
        self.num_bins = checks.integer("num_bins", num_bins, 2)
        self.smoothing = checks.number("smoothing", smoothing, checks.Interval(0.0, 1.0, closed="right"))
        uniform = tf.fill([event_shape[-1], self.num_bins], tf.constant(1.0 / self.num_bins, self.dtype))
        self.probabilities = tf.Variable(uniform, trainable=False, name="probabilities")
        self.initialized = tf.Variable(0.0, name="initialized", dtype=self.dtype, trainable=False)

    @property
    def data_range(self) -> Range:
        return Range(0.0, 1.0)

    @property
    def saturates(self) -> bool:
        return True

    @property
    def is_initialized(self) -> bool:
        return bool(self.initialized.numpy())

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        """Sets the bins' probabilities from a batch x [n, *event] of numbers in [0, 1].

        Raises:
          ValueError: if there are none, or numbers that are not in [0, 1].
        """
        columns = np.asarray(x).reshape(-1, x.shape[-1]).T
        if not columns.size or not ((columns >= 0.0) & (columns <= 1.0)).all():
            given_range = f"from {columns.min()} to {columns.max()}" if columns.size else "none"
            raise ValueError(
                f"`x` must hold numbers in [0, 1]; got {given_range}. "
                "Pixels that are integers belong in tfp_nvp.Dequantized; scale others."
            )
        places = np.clip((columns * self.num_bins).astype(np.int64), 0, self.num_bins - 1)
        counts = np.stack([np.bincount(row, minlength=self.num_bins) for row in places])
        observed = counts / columns.shape[-1]
        self.probabilities.assign((1.0 - self.smoothing) * observed + self.smoothing / self.num_bins)
        self.initialized.assign(1.0)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        outside = (x < -ROUNDING) | (x > 1.0 + ROUNDING)
        x = self._held(x)
        scaled = x * self.num_bins
        bin_ = tf.clip_by_value(tf.floor(scaled), 0.0, self.num_bins - 1.0)
        # NaN is put into the first bin, so that its row becomes NaN and no other row fails.
        width, below, beyond = self._at(tf.clip_by_value(tf.cast(bin_, tf.int32), 0, self.num_bins - 1))
        # From both ends, where x and 1 − x are exact, so that neither loses precision near its own.
        theta = tf.clip_by_value(scaled - bin_, 0.0, 1.0)
        rest = tf.clip_by_value((1.0 - x) * self.num_bins - (self.num_bins - 1.0 - bin_), 0.0, 1.0)
        least, most = self._limits()
        f, above = tf.maximum(below + width * theta, tf.exp(least)), beyond + width * rest
        log_f, log_rest = tf.math.log(f), tf.math.log(above)
        log_det = tf.math.log(width) + math.log(self.num_bins) - log_f - log_rest
        log_det = tf.where(outside, tf.constant(-math.inf, x.dtype), log_det)
        return clamp(log_f - log_rest, least, most), self._sum(log_det)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        _, below, beyond = self._tables()
        edges = tf.math.log(below[:, 1:]) - tf.math.log(beyond[:, :-1])
        channels = z.shape[-1]
        rows = tf.transpose(tf.reshape(z, [-1, channels]))
        if is_portable():
            is_above = rows[:, :, tf.newaxis] >= edges[:, tf.newaxis, :]
            places = tf.transpose(tf.reduce_sum(tf.cast(is_above, tf.int32), axis=-1))
        else:
            places = tf.transpose(tf.searchsorted(edges, rows, side="right"))
        bin_ = tf.reshape(places, tf.shape(z))
        width, below, beyond = self._at(bin_)
        z = clamp(z, *self._limits())
        # In a bin that is rarer than rounding it can be anything.
        theta = tf.clip_by_value((tf.sigmoid(z) - below) / width, 0.0, 1.0)
        rest = tf.clip_by_value((tf.sigmoid(-z) - beyond) / width, 0.0, 1.0)
        number = tf.cast(bin_, z.dtype)
        from_below, from_above = number + theta, self.num_bins - 1.0 - number + rest
        x = tf.where(z > 0.0, 1.0 - from_above / self.num_bins, from_below / self.num_bins)
        slope = tf.math.log_sigmoid(z) + tf.math.log_sigmoid(-z) - tf.math.log(width) - math.log(self.num_bins)
        return self._held(x), self._sum(slope)

    def _held(self, x: tf.Tensor) -> tf.Tensor:
        """x between the numbers next to 0 and to 1."""
        limits = np.finfo(x.dtype.as_numpy_dtype)
        return clamp(x, limits.tiny, 1.0 - float(limits.epsneg))

    def _limits(self) -> tuple[tf.Tensor, tf.Tensor]:
        """z of the numbers next to 0 and to 1, [c] each; F is a normal number at both."""
        limits = np.finfo(self.dtype.as_numpy_dtype)
        slopes = self.num_bins * tf.convert_to_tensor(self.probabilities)  # dF/dx
        rest = slopes[:, -1] * float(limits.epsneg)
        least = tf.math.log(tf.maximum(slopes[:, 0], 1.0)) + math.log(2.0 * limits.tiny)
        return least, tf.math.log1p(-rest) - tf.math.log(rest)

    def _tables(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The probability of each bin [c, n], of all bins below it, and of all above it."""
        exact = tf.cast(self.probabilities, tf.float64)
        below, beyond = (tf.cumsum(exact, axis=-1, exclusive=True, reverse=reverse) for reverse in (False, True))
        return tf.convert_to_tensor(self.probabilities), tf.cast(below, self.dtype), tf.cast(beyond, self.dtype)

    def _at(self, bin_: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The tables' entries for the bins [..., c] of values."""
        places = bin_ + self.num_bins * tf.range(bin_.shape[-1])
        return tuple(tf.gather(tf.reshape(table, [-1]), places) for table in self._tables())

    def _sum(self, log_det: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(log_det, axis=list(range(-self._event_rank, 0)))
