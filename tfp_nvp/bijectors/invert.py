"""The inverse of a bijector."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector
from tfp_nvp.bijectors.stock import as_bijector

tfb = tfp.bijectors


class Invert(Bijector):
    """The inverse of a bijector, in one pass: `forward` is its `inverse`.

    Args:
      bijector: ours or one of TFP's own.

    >>> float(Invert(tfb.Scale(2.0)).forward(3.0))
    1.5
    """

    def __init__(self, bijector: tfb.Bijector, *, name: str | None = None):
        inner = as_bijector(bijector)
        super().__init__(
            min_event_ndims=inner.inverse_min_event_ndims,
            inverse_min_event_ndims=inner.forward_min_event_ndims,
            condition_shape=inner.condition_shape,
            dtype=inner.dtype,
            is_constant_jacobian=inner.is_constant_jacobian,
            name=name or f"invert_{inner.name}",
        )
        self._bijector = inner
        self._z_shape, self._x_shape = inner._x_shape, inner._z_shape

    @property
    def bijector(self) -> Bijector:
        """The inverted bijector."""
        return self._bijector

    @property
    def latent_range(self) -> Range:
        return self._bijector.data_range

    @property
    def data_range(self) -> Range:
        return self._bijector.latent_range

    @property
    def _is_exact(self) -> bool:
        return self._bijector._is_exact

    def _image(self, latents: Range) -> Range:
        return self._bijector._preimage(latents)

    def _preimage(self, data: Range) -> Range:
        return self._bijector._image(data)

    def _keeps(self, values: Range) -> bool:
        return self._bijector._keeps(values)

    @property
    def is_initialized(self) -> bool:
        return self._bijector.is_initialized

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        if not self.is_initialized:
            raise ValueError(
                f"{self.bijector.name} is set from data on its own x side, and {self.name} has data on the z side. "
                "Initialize it before inverting it."
            )

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self._bijector._inverse_and_log_det(z, condition)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self._bijector._forward_and_log_det(x, condition)

    def is_same_map(self, other: Bijector) -> bool:
        return isinstance(other, Invert) and self.bijector.is_same_map(other.bijector)

    def _is_increasing(self, **kwargs: Any) -> Any:
        return self._bijector._internal_is_increasing(**kwargs)

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.inverse_event_shape(shape)

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return self._bijector.forward_event_shape(shape)

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.inverse_event_shape_tensor(shape)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return self._bijector.forward_event_shape_tensor(shape)

    def _batch_shape(self, x_event_ndims: int) -> tf.TensorShape:
        return self._bijector.experimental_batch_shape(y_event_ndims=x_event_ndims)

    def _batch_shape_tensor(self, x_event_ndims: int) -> tf.Tensor:
        return self._bijector.experimental_batch_shape_tensor(y_event_ndims=x_event_ndims)
