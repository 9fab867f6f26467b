"""Standardizes the columns of a condition."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors.sinh import asinh
from tfp_nvp.training._models.moments import moments, robust_moments

#: A column is heavy-tailed if its largest distance from the median exceeds this many robust
#: standard deviations; a million draws of a Gaussian stay within 5, of an exponential within 17.
HEAVY = 10.0


@keras.saving.register_keras_serializable("tfp_nvp")
class Standardize(keras.layers.Layer):
    """(c − center) / scale of each column of a condition, then asinh where a column is heavy-tailed.

    A column of scale 0 was constant in the data: nothing is known of its effect, and it becomes 0 whatever it holds.

    Shapes: numbers of any dtype [..., k] → [..., k].
    """

    def __init__(self, center: Any, scale: Any, heavy: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.center, self.scale, self.heavy = (list(map(float, v)) for v in (center, scale, heavy))
        self.built = True

    @classmethod
    def of(cls, condition: np.ndarray, dtype: str, weight: np.ndarray | None = None) -> Standardize:
        """Fits the layer to the training rows [n, k] of a condition."""
        median, robust = robust_moments(condition, weight)
        heavy = (robust > 0) & (np.abs(condition - median).max(axis=0) > HEAVY * robust)
        mean, deviation = moments(condition, weight)
        varies = condition.max(axis=0) > condition.min(axis=0)  # rounding may give equal values a deviation
        scale = np.where(heavy, robust, np.where(varies, deviation, 0.0))
        return cls(np.where(heavy, median, mean), scale, heavy, dtype=dtype)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        inputs = tf.cast(inputs, self.compute_dtype)
        scale = tf.constant(self.scale, inputs.dtype)
        z = (inputs - tf.constant(self.center, inputs.dtype)) / tf.where(scale > 0, scale, 1.0)
        z = tf.where(tf.constant(self.heavy) > 0, asinh(z), z)
        # ±inf and NaN give NaN.
        z = tf.where(tf.math.is_finite(inputs), z, tf.constant(np.nan, z.dtype))
        return tf.where(scale > 0, z, tf.zeros_like(z))

    def get_build_config(self) -> dict[str, Any]:
        return {"input_shape": (None, len(self.center))}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds nothing."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"center": self.center, "scale": self.scale, "heavy": self.heavy}
