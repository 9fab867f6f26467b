"""The base of transformers that are increasing curves on an interval, inverted by a root."""

from __future__ import annotations

import abc
import math

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._roots import increasing_root
from tfp_nvp.transformers.transformer import Transformer, flattening_short_rows


class Monotone(Transformer):
    """A curve on [-bound, bound], with its tangents beyond.

    A subclass writes `_curve`. `forward` evaluates it once; `inverse` is a bracketed root, with derivatives of the
    implicit function theorem.

    Args:
      bound: half the length of the interval, positive, in units of z.
    """

    def __init__(self, *, bound: float):
        self.bound = checks.positive("bound", bound)

    @abc.abstractmethod
    def _curve(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """x and dx/dz > 0 of z in [-bound, bound], elementwise; `raw` [p, ...] broadcasts with z."""

    @flattening_short_rows
    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        inner = self._inside(z)
        x, slope = self._curve(inner, raw)
        return x + slope * (z - inner), tf.math.log(slope)

    @flattening_short_rows
    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        end = tf.fill(tf.shape(x), tf.constant(self.bound, x.dtype))
        (lowest, _), (highest, _) = (self._curve(z, raw) for z in (-end, end))
        target = tf.minimum(tf.maximum(x, lowest), highest)
        root = increasing_root(lambda z: self._curve(z, raw), target, -end, end)
        # Beyond the ends the tangents are those at the ends exactly, as in `forward`: far out, the slope at a root that
        # is off by rounding would give another line.
        inner = tf.where(x < lowest, -end, tf.where(x > highest, end, root))
        slope = self._curve(inner, raw)[1]
        return inner + (x - target) / slope, -tf.math.log(slope)

    def _inside(self, z: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(z, -self.bound, self.bound)


def softly_bounded(raw: tf.Tensor, bound: float) -> tf.Tensor:
    """bound · tanh(raw / bound): the identity near zero."""
    return bound * tf.tanh(raw / bound)


def clenshaw_curtis(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in [0, 1] and weights of the quadrature of a function on it, exact for polynomials of that degree.

    References: Clenshaw & Curtis (1960); Waldvogel (2006), "Fast construction of the Fejér and Clenshaw–Curtis
    quadrature rules", equation 2.4.
    """
    n = num_nodes - 1
    angles = math.pi * np.arange(num_nodes) / n
    terms = np.arange(1, n // 2 + 1)
    factors = np.where(2 * terms == n, 1.0, 2.0) / (4.0 * terms**2 - 1.0)
    weights = 1.0 - np.cos(2.0 * np.outer(angles, terms)) @ factors
    weights *= np.where((np.arange(num_nodes) % n) == 0, 1.0, 2.0) / n
    return 0.5 * (1.0 - np.cos(angles)), 0.5 * weights
