"""A conditional bijector with a fixed condition."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfp_nvp.bijectors._wrapper import Wrapper
from tfp_nvp.bijectors.bijector import Bijector


class Conditioned(Wrapper):
    """`bijector` at one condition: a bijector that takes none, with the condition's batch shape.

    Args:
      bijector: one with a `condition_shape`.
      condition: [*batch, *condition_shape].

    Raises:
      ValueError: if `bijector` takes no condition, or one of another shape.
    """

    def __init__(self, bijector: Bijector, condition: Any, *, name: str | None = None):
        if bijector.condition_shape is None:
            raise ValueError(f"{bijector.name} takes no condition (it has no `condition_shape`).")
        super().__init__(bijector, name=name or f"conditioned_{bijector.name}")
        self._z_shape, self._x_shape = bijector._z_shape, bijector._x_shape
        self._condition: tf.Tensor = bijector._check_condition(condition)

    @property
    def condition(self) -> tf.Tensor:
        """The fixed condition, [*batch, *condition_shape]."""
        return self._condition

    @property
    def is_initialized(self) -> bool:
        return self._bijector.is_initialized

    @property
    def saturates(self) -> bool:
        return bool(self._bijector.saturates)

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        if not self.is_initialized:
            raise ValueError(
                f"{self.bijector.name} is set from data and their conditions; initialize it, not {self.name}."
            )

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self._bijector._forward_and_log_det(z, self._condition)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return self._bijector._inverse_and_log_det(x, self._condition)

    def is_same_map(self, other: Bijector) -> bool:
        same = isinstance(other, Conditioned) and self.bijector.is_same_map(other.bijector)
        return same and self.condition is other.condition

    def _batch_shape(self, x_event_ndims: int) -> tf.TensorShape:
        return self.condition.shape[: self.condition.shape.rank - self._bijector.condition_ndims]

    def _batch_shape_tensor(self, x_event_ndims: int) -> tf.Tensor:
        return tf.shape(self.condition)[: self.condition.shape.rank - self._bijector.condition_ndims]
