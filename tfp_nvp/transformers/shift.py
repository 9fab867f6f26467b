"""The additive transformer of NICE."""

from __future__ import annotations

import tensorflow as tf

from tfp_nvp.transformers.transformer import Transformer


class Shift(Transformer):
    """x = z + t, with log |dx/dz| = 0.

    One raw number per element: the shift t, any real.

    >>> x, log_det = Shift().forward(tf.constant([1.0]), tf.constant([[2.0]]))
    >>> float(x[0]), float(log_det[0])
    (3.0, 0.0)

    References: Dinh, Krueger & Bengio (2015), "NICE: Non-linear Independent Components
    Estimation", arXiv:1410.8516, section 3.2.
    """

    num_parameters = 1

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift = raw[0]
        x = z + shift
        return x, tf.zeros_like(x)

    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shift = raw[0]
        z = x - shift
        return z, tf.zeros_like(z)
