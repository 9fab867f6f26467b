"""A map of the sphere by a map of its cylinder."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import shapes
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors._ranges_of_stock import check_latents
from tfp_nvp.bijectors.bijector import Bijector, Step
from tfp_nvp.bijectors.sphere import Sphere
from tfp_nvp.bijectors.stock import as_bijector


class AroundAxis(Bijector):
    """Maps unit vectors of R³ onto such, by a map g of height and longitude around the third axis.

        x = s(g(s⁻¹(z); condition)),    s the map `Sphere`
        log_det = log |det ∂g|, of areas

    g must be the identity where the longitudes meet, at heights −1 and 1, up to terms of the order of 1 − |height|, as
    splines of slope one there are: the map then has derivatives at the poles too. Within ∛ε of a pole, ε being the
    rounding of the dtype, it is the identity: that close, height and longitude have lost what the vector tells.

    Args:
      bijector: g, of events [2].

    >>> layer = AroundAxis(tfp.bijectors.Identity())
    >>> layer.forward([0.0, 0.6, 0.8]).numpy().round(3).tolist()
    [0.0, 0.6, 0.8]

    References: Rezende et al. (2020), "Normalizing Flows on Tori and Spheres", arXiv:2002.02428, section 2.3.1.
    """

    def __init__(self, bijector: Any, *, name: str = "around_axis"):
        bijector = as_bijector(bijector)
        super().__init__(
            event_shape=(3,), condition_shape=bijector.condition_shape, dtype=bijector.dtype or "float32", name=name
        )
        self._bijector, self._sphere = bijector, Sphere(dtype=self.dtype)
        check_latents(bijector, self._sphere.latent_range)
        self._radius = float(np.cbrt(np.finfo(self.dtype.as_numpy_dtype).eps))

    @property
    def bijector(self) -> Bijector:
        """g."""
        return self._bijector

    @property
    def latent_range(self) -> Range:
        return Range(-1.0, 1.0)

    @property
    def data_range(self) -> Range:
        return Range(-1.0, 1.0)

    @property
    def is_initialized(self) -> bool:
        return self._bijector.is_initialized

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        return self._apply(self._bijector._forward_step, z, condition)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        return self._apply(self._bijector._inverse_step, x, condition)

    def _apply(self, step: Any, value: tf.Tensor, condition: Any) -> Step:
        value = value / tf.reduce_max(tf.abs(value), axis=-1, keepdims=True)  # squares of others could overflow
        value = value / tf.sqrt(tf.reduce_sum(value**2, axis=-1, keepdims=True))
        at_pole = tf.reduce_sum(value[..., :2] ** 2, axis=-1, keepdims=True) < self._radius**2
        # Elsewhere on the sphere derivatives of what is not used are finite.
        place, nothing = self._sphere._inverse_and_log_det(tf.where(at_pole, tf.ones_like(value), value), None)
        moved, log_det = step(place, condition, 1)
        moved = self._sphere._forward_and_log_det(moved, None)[0]
        if condition is not None:
            value = shapes.broadcast_batch(value, shapes.batch_shape(moved, 1), 1)
        log_det = tf.where(at_pole[..., 0], tf.zeros([], value.dtype), log_det + nothing)
        return tf.where(at_pole, value, moved), log_det
