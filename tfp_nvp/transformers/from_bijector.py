"""Any elementwise TFP bijector as a transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.transformers.transformer import Transformer

tfb = tfp.bijectors


class FromBijector(Transformer):
    """A transformer made of any elementwise `tfb.Bijector`.

        f(z; raw) = bijector_fn(raw).forward(z)

    Args:
      bijector_fn: a function of `raw` [num_parameters, ...], whose other axes are those of the value, that returns a
        bijector with `forward_min_event_ndims == 0`. To write a flow that holds it to a `.keras` file, decorate the
        function with `keras.saving.register_keras_serializable()`.
      num_parameters: p, at least 1.

    Raises:
      TypeError: if `bijector_fn` can't be called.
      ValueError: when used, if what it returns is not an elementwise bijector.

    >>> def softplus_scale(raw):
    ...     return tfb.Scale(tf.math.softplus(raw[0]))
    >>> x, log_det = FromBijector(softplus_scale, num_parameters=1).forward(tf.ones([2]), tf.zeros([1, 2]))
    >>> x.shape
    TensorShape([2])
    """

    def __init__(self, bijector_fn: Callable[[tf.Tensor], tfb.Bijector], *, num_parameters: int):
        if not callable(bijector_fn):
            raise TypeError(
                f"`bijector_fn` must be a function from raw numbers to a tfb.Bijector; got {bijector_fn!r}."
            )
        self.bijector_fn = bijector_fn
        self.num_parameters = checks.integer("num_parameters", num_parameters, 1)

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bijector, z = self._make(raw), tf.identity(z)
        return bijector.forward(z), bijector.forward_log_det_jacobian(z, event_ndims=0) + tf.zeros_like(z)

    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        bijector, x = self._make(raw), tf.identity(x)
        return bijector.inverse(x), bijector.inverse_log_det_jacobian(x, event_ndims=0) + tf.zeros_like(x)

    def keeps(self, low: Any, high: Any) -> bool:
        return True  # not known: taken on trust

    def _make(self, raw: tf.Tensor) -> tfb.Bijector:
        # tf.identity here and in the callers: a tensor TFP has not seen can't hit its cache.
        bijector = self.bijector_fn(tf.identity(raw))
        if not isinstance(bijector, tfb.Bijector) or bijector.forward_min_event_ndims != 0:
            raise ValueError(f"`bijector_fn` must return an elementwise tfb.Bijector; it returned {bijector!r}.")
        return bijector
