"""The base of bijectors that evaluate another one."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors.bijector import Bijector


class Wrapper(Bijector):
    """A bijector from and to the events of another one, `bijector`, whose condition it does not take."""

    def __init__(self, bijector: tfp.bijectors.Bijector, *, name: str):
        super().__init__(
            min_event_ndims=bijector.forward_min_event_ndims,
            inverse_min_event_ndims=bijector.inverse_min_event_ndims,
            dtype=bijector.dtype,
            is_constant_jacobian=bijector.is_constant_jacobian,
            name=name,
        )
        self._bijector = bijector

    @property
    def bijector(self) -> Any:
        """The bijector that this one evaluates."""
        return self._bijector

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.forward_event_shape(shape)

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.inverse_event_shape(shape)

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.forward_event_shape_tensor(shape)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.inverse_event_shape_tensor(shape)
