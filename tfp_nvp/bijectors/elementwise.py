"""A learned elementwise bijector: a transformer whose raw numbers are weights."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector
from tfp_nvp.transformers import Transformer


class Elementwise(Bijector):
    """A transformer on every element, whose raw numbers are weights.

        x_i = f(z_i; w_i),    log_det = Σ log |df/dz_i|

    Raw numbers start at zero: with our transformers, the layer starts as the identity.

    Args:
      transformer: f.
      event_shape: of z and x; [] for a scalar.
      dtype: of weights and values.

    >>> from tfp_nvp import transformers
    >>> layer = Elementwise(transformers.Affine(), [3])
    >>> layer.trainable_variables[0].shape
    TensorShape([2, 3])
    """

    def __init__(
        self, transformer: Transformer, event_shape: Any, *, dtype: Any = "float32", name: str = "elementwise"
    ):
        checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.Affine()")
        event_shape = checks.shape("event_shape", event_shape)
        super().__init__(event_shape=event_shape, dtype=dtype, name=name)
        transformer.check_dtype(self.dtype)
        self.transformer = transformer
        self._raw = tf.Variable(
            tf.zeros((transformer.num_parameters, *event_shape), self.dtype), name="raw", trainable=True
        )

    @property
    def latent_range(self) -> Range:
        return Range(*self.transformer.domain)

    @property
    def data_range(self) -> Range:
        return Range(*self.transformer.domain)

    def _keeps(self, values: Range) -> bool:
        return values.equals(self.latent_range) or self.transformer.keeps(*values)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        x, log_det = self.transformer.forward(z, tf.convert_to_tensor(self._raw))
        return x, self._sum(log_det)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        z, log_det = self.transformer.inverse(x, tf.convert_to_tensor(self._raw))
        return z, self._sum(log_det)

    def _is_increasing(self, **kwargs: Any) -> tf.Tensor:
        return self.transformer.is_increasing(tf.convert_to_tensor(self._raw))

    def _sum(self, log_det: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(log_det, axis=list(range(-self.forward_min_event_ndims, 0)))
