"""From a cylinder onto the sphere."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfp_nvp import shapes
from tfp_nvp.bijectors._approach import clamp
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import Bijector, Step


class Sphere(Bijector):
    """Maps height and longitude, [h, φ], onto unit vectors of R³, with the area of every part kept.

        x = [√(1 − h²) cos φ, √(1 − h²) sin φ, h],    h in [−1, 1],  φ in [−π, π)
        log_det = 0

    The log-det is that of areas, ½ log det Jᵀ J: a density made by it is one per unit of the sphere's surface, of which
    4π is all. `inverse` takes every vector but 0 for its direction. Next to a pole, where all longitudes meet, the
    longitude is known to about the square root of rounding: a vector comes back within 4e-4 in float32.

    Args:
      dtype: of values.

    >>> [round(float(x), 4) for x in Sphere().forward([0.6, 0.0])]
    [0.8, 0.0, 0.6]

    References: Archimedes, "On the Sphere and Cylinder"; Rezende et al. (2020), "Normalizing Flows on Tori and
    Spheres", arXiv:2002.02428, section 2.3.1, whose recursion this is for two dimensions.
    """

    def __init__(self, *, dtype: Any = "float32", name: str = "sphere"):
        super().__init__(min_event_ndims=1, dtype=dtype, is_constant_jacobian=True, name=name)
        self._z_shape, self._x_shape = (2,), (3,)
        #: A radius whose square is far from underflow.
        self._least = 1e-12

    @property
    def latent_range(self) -> Range:
        return Range.of([-1.0, -math.pi], [1.0, math.pi])

    @property
    def data_range(self) -> Range:
        return Range(-1.0, 1.0)

    def _forward_sizes(self, sizes: list) -> list:
        return [3]

    def _inverse_sizes(self, sizes: list) -> list:
        return [2]

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        height, longitude = tf.unstack(z, axis=-1)
        height = clamp(height, -1.0, 1.0)
        radius = tf.sqrt(tf.maximum((1.0 - height) * (1.0 + height), self._least**2))
        x = [radius * tf.cos(longitude), radius * tf.sin(longitude), height]
        return tf.stack(x, axis=-1), tf.zeros(shapes.batch_shape(z, 1), z.dtype)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        x = x / tf.reduce_max(tf.abs(x), axis=-1, keepdims=True)  # squares of others could overflow
        east, north, up = tf.unstack(x, axis=-1)
        height = up / tf.sqrt(tf.reduce_sum(x**2, axis=-1))
        at_pole = east**2 + north**2 < self._least**2  # no longitude has a derivative there
        longitude = tf.atan2(*(tf.where(at_pole, other, v) for v, other in ((north, 0.0 * up), (east, 0.0 * up + 1.0))))
        # The base may be a constant, so that NaN is to be seen in the log-det.
        log_det = tf.where(tf.math.is_nan(height), height, tf.zeros_like(height))
        return tf.stack([height, longitude], axis=-1), log_det
