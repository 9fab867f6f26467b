"""The affine transformer of RealNVP."""

from __future__ import annotations

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import with_held_gradient
from tfp_nvp.transformers.transformer import Transformer


class Affine(Transformer):
    """x = z · exp(s) + t, with a softly bounded log-scale s and log |dx/dz| = s.

        s = bound · tanh(r / bound),        |s| < bound

    Two raw numbers per element: the shift t, any real, and r, which is s near zero.
    The bound keeps a deep flow of arbitrary weights from overflowing.

    Args:
      bound: largest |s|, positive, in nats per layer. The default, 3, lets one layer scale by a factor of 20, and
        keeps twenty-eight layers within float32.

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
        shift, log_scale = self._parts(raw)
        x = z * tf.exp(log_scale) + shift
        return x, _as_large(log_scale, x)

    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift, log_scale = self._parts(raw)
        z = (x - shift) * tf.exp(-log_scale)
        return z, _as_large(-log_scale, z)

    def _parts(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """t and s."""
        shift, raw_scale = tf.unstack(raw)
        # The gradient by s is infinite where z is, and that of a tanh at its bound zero.
        return shift, with_held_gradient(self.bound * tf.tanh(raw_scale / self.bound))


def _as_large(log_det: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """`log_det` broadcast to the shape of `value`."""
    if log_det.shape.rank == value.shape.rank and log_det.shape.is_compatible_with(value.shape):
        return log_det
    return tf.broadcast_to(log_det, tf.shape(value))
