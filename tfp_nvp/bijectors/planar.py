"""Planar maps."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_nvp._finite import summable
from tfp_nvp._roots import increasing_root
from tfp_nvp.bijectors._amortized import Amortized, above_minus_one
from tfp_nvp.bijectors.bijector import Step


class Planar(Amortized):
    """Stretches and bends space along one direction, across the plane wᵀz + b = 0.

        x = z + û tanh(wᵀz + b),    û = u + (m(wᵀu) − wᵀu) w / |w|²
        log_det = log(1 + wᵀû sech²(wᵀz + b))

    with m(a) = a for a ≥ 0, else 0.999 (exp(a / 0.999) − 1), so that wᵀû > −1 and the map is invertible. `inverse` is
    one bracketed scalar root, α of α + wᵀû tanh(α + b) = wᵀx, with derivatives of the implicit function theorem;
    then z = x − û tanh(α + b).

    The 2 d + 1 numbers u, w, b are weights; with a condition, weights plus a network's output. u starts at zero, so the
    layer starts as the identity.

    Args:
      event_shape: [d].
      conditioner: a Keras layer from the condition, [n, 0] and [n, ...] → [n, 2 d + 1]; an MLP by default.
      condition_shape: shape of the condition, or None.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    >>> layer = Planar([2], seed=0)
    >>> layer.inverse(layer.forward([[1.0, -2.0]])).numpy().round(4).tolist()
    [[1.0, -2.0]]

    References: Rezende & Mohamed (2015), "Variational Inference with Normalizing Flows", arXiv:1505.05770, equations 10
    to 12 and appendix A.1.
    """

    def _start(self, rng: np.random.Generator) -> np.ndarray:
        d = self._size
        return np.concatenate([np.zeros(d), rng.normal(size=d) / np.sqrt(d), rng.normal(size=1)])

    def _map(self, z: tf.Tensor, raw: tf.Tensor) -> Step:
        u, w, b, slope = self._parts(raw)
        t = tf.tanh(_dot(w, summable(z)) + b)
        return z + u * t[..., None], _log_slope(t, slope)

    def _inverse_map(self, x: tf.Tensor, raw: tf.Tensor) -> Step:
        u, w, b, slope = self._parts(raw)
        target = _dot(w, summable(x))

        def along(alpha: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            t = tf.tanh(alpha + b)
            return alpha + slope * t, 1.0 + slope * (1.0 - t) * (1.0 + t)

        alpha = increasing_root(along, target, target - tf.abs(slope), target + tf.abs(slope))
        t = tf.tanh(alpha + b)
        return x - u * t[..., None], _log_slope(t, slope)

    def _parts(self, raw: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """û, w, b and wᵀû."""
        d = self._size
        u, w, b = raw[..., :d], raw[..., d:-1], raw[..., -1]
        asked = _dot(w, u)
        slope = above_minus_one(asked)
        squared = tf.maximum(_dot(w, w), np.finfo(raw.dtype.as_numpy_dtype).tiny)
        return u + ((slope - asked) / squared)[..., None] * w, w, b, slope


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b, axis=-1)


def _log_slope(t: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """log(1 + slope · sech²) of t = tanh."""
    return tf.math.log1p(slope * (1.0 - t) * (1.0 + t))
