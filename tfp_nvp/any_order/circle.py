"""Spline densities on a circle as conditionals of angles."""

from __future__ import annotations

import math

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._captured import Captured
from tfp_nvp.transformers import CircularSpline


class CircleSpline(Captured):
    """A density on [−π, π), whose ends are one point: a uniform angle, moved by a `CircularSpline`.

        p(a) = |ds⁻¹/da| / 2π

    Args:
      num_bins: of the spline, at least 2.

    References: Rezende et al. (2020), "Normalizing Flows on Tori and Spheres", arXiv:2002.02428, section 2.1.2.
    """

    def __init__(self, num_bins: int = 12):
        self.num_bins = checks.integer("num_bins", num_bins, 2)
        self._spline = CircularSpline(num_bins=num_bins)

    @property
    def num_parameters(self) -> int:
        """3 k + 2 for k bins."""
        return self._spline.num_parameters

    def log_prob(self, value: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        """log p(a) [...] in nats, of angles a [...] and raw [p, ...]."""
        return self._spline.inverse(value, raw)[1] - math.log(2.0 * math.pi)

    def cdf(self, value: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        """P(−π ≤ a' < a) [...]."""
        turns = (self._spline.inverse(value, raw)[0] - self._start(value, raw)) / (2.0 * math.pi)
        return tf.math.floormod(turns, 1.0)

    def quantile(self, level: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        """The angle a [...] of P(−π ≤ a' < a) = level [...]."""
        return self._spline.forward(self._start(level, raw) + 2.0 * math.pi * level, raw)[0]

    def nodes(self, raw: tf.Tensor, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Points and weights [number, ...], which add up to 1: quantiles at equal distances."""
        start = 2.0 * math.pi * (tf.range(number, dtype=raw.dtype) + 0.5) / number - math.pi
        u = tf.reshape(start, [number] + [1] * (raw.shape.rank - 1)) + tf.zeros_like(raw[:1])
        repeated = tf.repeat(raw[:, tf.newaxis], number, axis=1)
        return self._spline.forward(u, repeated)[0], tf.ones_like(u) / number

    def sample(self, raw: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Angles [...], one for each raw [p, ...]; `seed` is two integers."""
        u = tf.random.stateless_uniform(tf.shape(raw)[1:], seed, -math.pi, math.pi, dtype=raw.dtype)
        return self._spline.forward(u, raw)[0]

    def _start(self, like: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        """What the spline makes of −π."""
        return self._spline.inverse(tf.fill(tf.shape(like), tf.constant(-math.pi, like.dtype)), raw)[0]
