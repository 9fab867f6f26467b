"""Mixtures of logistic distributions as conditionals on the real line."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._captured import Captured
from tfp_nvp.transformers import MixtureOfLogistics


class Logistics(Captured):
    """A density on the real line, whose masses of intervals are exact: a mixture of k logistics.

        p(z) = Σ πᵢ σ(uᵢ) σ(−uᵢ) exp(−sᵢ),    uᵢ = (z − μᵢ) exp(−sᵢ)
        P(a < z < b) = Σ πᵢ σ(bᵢ) σ(−aᵢ) (1 − exp(−(b − a) exp(−sᵢ)))

    with aᵢ and bᵢ as uᵢ of a and b. The second is a difference of distribution functions, written such that nothing
    cancels, however narrow the interval is.

    3 k raw numbers: logits of π; μ less offsets from −2 to 2, since components that start alike would stay alike; and
    s less log 0.5, softly bounded.

    Args:
      num_components: k, at least 1.
      bound: largest |s| in nats: no component is narrower than exp(−bound) robust standard deviations of the column.

    References: Salimans, Karpathy, Chen & Kingma (2017), "PixelCNN++", arXiv:1701.05517, equation 2.

    >>> mixture = Logistics(num_components=2)
    >>> raw = tf.zeros([mixture.num_parameters, 1])
    >>> [round(float(mixture.cdf(tf.constant([z]), raw)[0]), 3) for z in (-9.0, 0.0, 9.0)]
    [0.0, 0.5, 1.0]
    """

    def __init__(self, num_components: int = 10, bound: float = 7.0):
        self.num_components = checks.integer("num_components", num_components, 1)
        self.bound = checks.positive("bound", bound)

    @property
    def num_parameters(self) -> int:
        """3 k."""
        return 3 * self.num_components

    def log_prob(self, value: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        """log p(z) [...] in nats, of z [...] and raw [3 k, ...]."""
        log_weights, means, scales = self._parts(raw)
        u = (value - means) * tf.exp(-scales)
        return tf.reduce_logsumexp(log_weights + tf.math.log_sigmoid(u) + tf.math.log_sigmoid(-u) - scales, axis=0)

    def log_mass(self, low: tf.Tensor, high: tf.Tensor, width: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        """log P(low < z < high) [...] in nats; `width` is high − low, with the digits that the difference lacks."""
        log_weights, means, scales = self._parts(raw)
        inverse = tf.exp(-scales)
        below, above = tf.math.log_sigmoid((high - means) * inverse), tf.math.log_sigmoid((means - low) * inverse)
        # The width of a cell is positive; that of a cell of a column without a grid, whose mass is not used, is 0.
        share = tf.math.log(-tf.math.expm1(-tf.maximum(width * inverse, 1e-30)))
        return tf.reduce_logsumexp(log_weights + below + above + share, axis=0)

    def cdf(self, value: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        """P(z < value) [...]."""
        log_weights, means, scales = self._parts(raw)
        return tf.reduce_sum(tf.exp(log_weights) * tf.sigmoid((value - means) * tf.exp(-scales)), axis=0)

    def quantile(self, level: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        """The z [...] of P(z' < z) = level [...], levels in (0, 1)."""
        log_weights, means, scales = self._parts(raw)
        limit = 2.0 * self.bound
        curve = MixtureOfLogistics(
            num_components=self.num_components, bound=limit
        )  # with offsets, bounds, an affine map
        log_scales = limit * tf.atanh(scales / limit)
        affine = tf.zeros_like(raw[:2])
        y = tf.math.log(level) - tf.math.log1p(-level)
        means -= self._offsets(1.0, raw)
        return curve.forward(y, tf.concat([log_weights, means, log_scales, affine], axis=0))[0]

    def nodes(self, raw: tf.Tensor, number: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Points and weights [k · number, ...], which add up to 1: quantiles of each component at equal distances."""
        log_weights, means, scales = (part[:, tf.newaxis] for part in self._parts(raw))
        levels = (np.arange(number) + 0.5) / number
        logits = tf.reshape(
            tf.constant(np.log(levels / (1.0 - levels)), raw.dtype), [number] + [1] * (raw.shape.rank - 1)
        )
        points = means + tf.exp(scales) * logits
        weights = tf.broadcast_to(tf.exp(log_weights) / number, tf.shape(points))
        flat = [-1, *tf.unstack(tf.shape(raw)[1:])]
        return tf.reshape(points, flat), tf.reshape(weights, flat)

    def sample(self, raw: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """z [...], one for each raw [3 k, ...]; `seed` is two integers."""
        log_weights, means, scales = self._parts(raw)
        u = tf.random.stateless_uniform([2, *tf.unstack(tf.shape(raw)[1:])], seed, minval=1e-7, dtype=raw.dtype)
        chosen = _chosen(tf.exp(log_weights), u[0])
        mean, scale = (tf.reduce_sum(chosen * number, axis=0) for number in (means, scales))
        return mean + tf.exp(scale) * (tf.math.log(u[1]) - tf.math.log1p(-u[1]))

    def _parts(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """log π, μ and s, [k, ...] each."""
        weights, means, scales = tf.split(raw, 3, axis=0)
        scales = self.bound * tf.tanh((scales + np.log(0.5)) / self.bound)
        return tf.nn.log_softmax(weights, axis=0), means + self._offsets(2.0, raw), scales

    def _offsets(self, end: float, raw: tf.Tensor) -> tf.Tensor:
        """k numbers from −end to end, [k, 1, ...]."""
        k = self.num_components
        offsets = np.linspace(-end, end, k) if k > 1 else np.zeros(1)
        return tf.reshape(tf.constant(offsets, raw.dtype), [k] + [1] * (raw.shape.rank - 1))


def _chosen(weights: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """1 for one of the weights [k, ...], which add up to 1, by a uniform number u [...], and 0 for the others."""
    ends = tf.cumsum(weights, axis=0)
    ends = tf.concat([ends[:-1], tf.ones_like(ends[:1])], axis=0)
    below = tf.cast(u < ends, weights.dtype)
    return below - tf.concat([tf.zeros_like(below[:1]), below[:-1]], axis=0)
