"""The base of bijectors that evaluate another one."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors._range import WHOLE, Range
from tfp_nvp.bijectors._ranges_of_stock import check_latents, image, is_exact, preimage
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

    @property
    def latent_range(self) -> Range:
        return preimage(self._bijector, WHOLE)

    @property
    def data_range(self) -> Range:
        return image(self._bijector, WHOLE)

    @property
    def _is_exact(self) -> bool:
        return is_exact(self._bijector)

    def _image(self, latents: Range) -> Range:
        return image(self._bijector, latents)

    def _preimage(self, data: Range) -> Range:
        return preimage(self._bijector, data)

    def _check_latents(self, latents: Range, part: bool = False) -> None:
        check_latents(self._bijector, latents, part)

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.forward_event_shape(shape)

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.inverse_event_shape(shape)

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.forward_event_shape_tensor(shape)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.inverse_event_shape_tensor(shape)
