"""Radial maps."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors._amortized import Amortized, above_minus_one
from tfp_nvp.bijectors.bijector import Step


class Radial(Amortized):
    """Contracts or expands space around one point.

        x = z₀ + (1 + β / (α + r)) (z − z₀),    r = |z − z₀|
        log_det = (d − 1) log(1 + β / (α + r)) + log(1 + α β / (α + r)²)

    with α = exp(5 tanh(a / 5)) and β = α m(b), m(b) = b for b ≥ 0, else 0.999 (exp(b / 0.999) − 1): β > −α makes the
    map invertible. `inverse` is a formula: with ρ = |x − z₀|, r is the positive root of
    r² + (α + β − ρ) r − α ρ = 0.

    The d + 2 numbers z₀, a, b are weights; with a condition, weights plus a network's output. b starts at zero, so the
    layer starts as the identity.

    Args:
      event_shape: [d].
      conditioner: a Keras layer from the condition, [n, 0] and [n, ...] → [n, d + 2]; an MLP by default.
      condition_shape: shape of the condition, or None.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    >>> layer = Radial([2], seed=0)
    >>> layer.inverse(layer.forward([[1.0, -2.0]])).numpy().round(4).tolist()
    [[1.0, -2.0]]

    References: Rezende & Mohamed (2015), "Variational Inference with Normalizing Flows", arXiv:1505.05770, equations
    14, and appendix A.2.
    """

    def _start(self, rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([rng.normal(size=self._size), np.zeros(2)])

    def _map(self, z: tf.Tensor, raw: tf.Tensor) -> Step:
        center, alpha, ratio = self._parts(raw)
        stretch, log_det = self._stretch(_norm(z - center), alpha, ratio)
        return center + stretch[..., None] * (z - center), log_det

    def _inverse_map(self, x: tf.Tensor, raw: tf.Tensor) -> Step:
        center, alpha, ratio = self._parts(raw)
        rho = _norm(x - center)
        half = 0.5 * (rho - alpha * (1.0 + ratio))
        root = tf.sqrt(half**2 + alpha * rho)
        # The form of the root without cancellation.
        safe = tf.where(half < 0.0, root - half, tf.ones_like(root))
        r = tf.where(half < 0.0, alpha * rho / safe, half + root)
        stretch, log_det = self._stretch(r, alpha, ratio)
        return center + (x - center) / stretch[..., None], log_det

    def _stretch(self, r: tf.Tensor, alpha: tf.Tensor, ratio: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """1 + β / (α + r), and the log-det; `ratio` is β / α."""
        nearness = alpha / (alpha + r)
        log_det = (self._size - 1) * tf.math.log1p(ratio * nearness) + tf.math.log1p(ratio * nearness**2)
        return 1.0 + ratio * nearness, log_det

    def _parts(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """z₀, α and β / α."""
        return raw[..., :-2], tf.exp(5.0 * tf.tanh(raw[..., -2] / 5.0)), above_minus_one(raw[..., -1])


def _norm(value: tf.Tensor) -> tf.Tensor:
    """|value|, with a gradient of zero where it is zero, as the maps here have.

    Scaled by the largest element, so that squares neither overflow nor underflow.
    """
    largest = tf.stop_gradient(tf.reduce_max(tf.abs(value), axis=-1, keepdims=True))
    scale = tf.where((largest > 0.0) & tf.math.is_finite(largest), largest, tf.ones_like(largest))
    squared = tf.reduce_sum((value / scale) ** 2, axis=-1)
    norm = tf.sqrt(tf.where(squared > 0.0, squared, tf.ones_like(squared)))
    return tf.where(squared > 0.0, norm, tf.zeros_like(norm)) * scale[..., 0]
