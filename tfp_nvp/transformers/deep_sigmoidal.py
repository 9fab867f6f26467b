"""Deep sigmoidal maps."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._roots import increasing_root
from tfp_nvp.transformers._monotone import softly_bounded
from tfp_nvp.transformers.transformer import Transformer, flattening_short_rows

#: Largest |log a| of a unit.
_BOUND = 3.0


class DeepSigmoidal(Transformer):
    """x = yₗ of layers y ↦ logit(Σⱼ wⱼ σ(aⱼ y + bⱼ)), from y₀ = z.

        dy/dy₋₁ = Σⱼ wⱼ aⱼ σ(uⱼ) σ(−uⱼ) / (F (1 − F)),    F = Σⱼ wⱼ σ(uⱼ),  uⱼ = aⱼ y₋₁ + bⱼ

    3 k raw numbers per element and layer: k log aⱼ, softly bounded by 3, k values of bⱼ, and k of a softmax that gives
    w. bⱼ starts spread from −1 to 1, so that the units become different; zeros give a map close to the identity, of
    which tails are the identity plus a constant. `inverse` solves one bracketed root per layer, the last one first,
    with derivatives of the implicit function theorem.

    One layer is the map that `MixtureOfLogistics` inverts.

    Args:
      num_units: k of every layer, at least 1.
      num_layers: at least 1.

    >>> sigmoidal = DeepSigmoidal(num_units=4)
    >>> raw = tf.ones([sigmoidal.num_parameters, 2])
    >>> x, _ = sigmoidal.forward(tf.constant([-1.0, 3.0]), raw)
    >>> [round(float(v), 4) for v in sigmoidal.inverse(x, raw)[0]]
    [-1.0, 3.0]

    References: Huang, Krueger, Lacoste & Courville (2018), "Neural Autoregressive Flows", arXiv:1804.00779, equations
    8 and 9.
    """

    def __init__(self, *, num_units: int = 8, num_layers: int = 2):
        self.num_units = checks.integer("num_units", num_units, 1)
        self.num_layers = checks.integer("num_layers", num_layers, 1)

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return 3 * self.num_units * self.num_layers

    @flattening_short_rows
    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        log_det = tf.zeros_like(z)
        for layer in self._layers(raw):
            z, log_slope = layer.at(z)
            log_det += log_slope
        return z, log_det

    @flattening_short_rows
    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        log_det = tf.zeros_like(x)
        for layer in reversed(self._layers(raw)):
            x = layer.solve(x)
            log_det -= layer.at(x)[1]
        return x, log_det

    def _layers(self, raw: tf.Tensor) -> list[_Layer]:
        return [_Layer(part) for part in tf.split(raw, self.num_layers, axis=0)]


class _Layer:
    """y → logit(Σⱼ wⱼ σ(aⱼ y + bⱼ)) of raw numbers [3 k, ...]."""

    def __init__(self, raw: tf.Tensor):
        log_a, b, weights = tf.split(raw, 3, axis=0)
        k = b.shape[0]
        offsets = np.linspace(-1.0, 1.0, k) if k > 1 else np.zeros(1)
        self.log_a = softly_bounded(log_a, _BOUND)
        self.b = b + tf.reshape(tf.constant(offsets, b.dtype), [k] + [1] * (b.shape.rank - 1))
        self.log_w = tf.nn.log_softmax(weights, axis=0)

    def at(self, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The value, and the log of its derivative.

        log F and log (1 − F) are sums in the log domain: both tails are exact.
        """
        u = tf.exp(self.log_a) * y + self.b
        log_below, log_above = tf.math.log_sigmoid(u), tf.math.log_sigmoid(-u)
        log_f, log_rest = (tf.reduce_logsumexp(self.log_w + terms, axis=0) for terms in (log_below, log_above))
        slope = tf.reduce_logsumexp(self.log_w + self.log_a + log_below + log_above, axis=0)
        return log_f - log_rest, slope - log_f - log_rest

    def solve(self, target: tf.Tensor) -> tf.Tensor:
        """The y of a value: logit F lies between the least and the greatest uⱼ, which brackets it."""

        def function(y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value, log_slope = self.at(y)
            return value, tf.exp(log_slope)

        ends = (target - self.b) * tf.exp(-self.log_a)
        return increasing_root(function, target, tf.reduce_min(ends, axis=0), tf.reduce_max(ends, axis=0))
