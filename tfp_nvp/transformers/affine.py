"""The affine transformer of RealNVP."""

from __future__ import annotations

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.transformers.transformer import Transformer


class Affine(Transformer):
    """x = z · exp(s) + t, with a softly bounded log-scale s and log |dx/dz| = s.

        s = bound · tanh(r / bound),        |s| < bound

    Two raw numbers per element: the shift t, any real, and r, which is s near zero.
    The bound keeps a deep flow of arbitrary weights from overflowing.

    Args:
      bound: largest |s|, positive, in nats per layer. The default, 3, lets one layer
        scale by a factor of 20 and twenty-eight of them together stay within float32.

    >>> x, log_det = Affine().forward(tf.constant([2.0]), tf.constant([[1.0], [0.0]]))
    >>> float(x[0]), float(log_det[0])
    (3.0, 0.0)

    References: Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP",
    arXiv:1605.08803, equations 4 and 7; the tanh bound is of its section 4.1.
    """

    num_parameters = 2

    def __init__(self, *, bound: float = 3.0):
        self.bound = checks.positive("bound", bound)

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = raw[0], self._log_scale(raw[1])
        x = z * tf.exp(log_scale) + shift
        return x, tf.broadcast_to(log_scale, tf.shape(x))

    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = raw[0], self._log_scale(raw[1])
        z = (x - shift) * tf.exp(-log_scale)
        return z, tf.broadcast_to(-log_scale, tf.shape(z))

    def _log_scale(self, raw: tf.Tensor) -> tf.Tensor:
        return self.bound * tf.tanh(raw / self.bound)
