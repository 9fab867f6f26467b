"""TFP's own bijectors among ours."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors._wrapper import Wrapper
from tfp_nvp.bijectors.bijector import Bijector, Step

tfb = tfp.bijectors


class Stock(Wrapper):
    """A stock `tfb.Bijector` with our interface, and without TFP's cache.

    `Chain`, `Invert` and `Flow` wrap stock bijectors in it.

    Args:
      bijector: any injective `tfb.Bijector` of one tensor.

    Raises:
      TypeError: if it is not one.
    """

    def __init__(self, bijector: tfb.Bijector, *, name: str | None = None):
        if not isinstance(bijector, tfb.Bijector):
            raise TypeError(f"`bijector` must be a tfb.Bijector; got {bijector!r}.")
        ranks = bijector.forward_min_event_ndims, bijector.inverse_min_event_ndims
        if any(tf.nest.is_nested(rank) for rank in ranks) or not bijector._is_injective:
            raise TypeError(f"`bijector` must map one tensor to one tensor, injectively; got {bijector!r}.")
        super().__init__(bijector, name=name or bijector.name)

    # tf.identity: TFP's cache looks up tensors by identity, and can't hold a new one.

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        z = tf.identity(z)
        log_det = self._bijector.forward_log_det_jacobian(z, self.forward_min_event_ndims)
        return self._bijector.forward(z), tf.cast(log_det, z.dtype)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        x = tf.identity(x)
        log_det = self._bijector.inverse_log_det_jacobian(x, self.inverse_min_event_ndims)
        return self._bijector.inverse(x), tf.cast(log_det, x.dtype)

    def is_same_map(self, other: Bijector) -> bool:
        return isinstance(other, Stock) and (self.bijector is other.bijector or self.bijector == other.bijector)

    def _is_increasing(self, **kwargs: Any) -> Any:
        return self._bijector._internal_is_increasing(**kwargs)

    def _batch_shape(self, x_event_ndims: int) -> tf.TensorShape:
        try:
            return self._bijector.experimental_batch_shape(x_event_ndims=x_event_ndims)
        except NotImplementedError:  # it does not declare its parameters, as some of TFP's own do not
            return tf.TensorShape([])

    def _batch_shape_tensor(self, x_event_ndims: int) -> tf.Tensor:
        try:
            return self._bijector.experimental_batch_shape_tensor(x_event_ndims=x_event_ndims)
        except NotImplementedError:
            return tf.zeros([0], tf.int32)


def as_bijector(bijector: tfb.Bijector) -> Bijector:
    """`bijector` itself if it is ours, else wrapped in `Stock`."""
    return bijector if isinstance(bijector, Bijector) else Stock(bijector)
