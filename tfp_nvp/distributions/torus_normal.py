"""The base of flows of angles, and of angles beside real numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._portable import is_portable
from tfp_nvp.bijectors import Support
from tfp_nvp.bijectors._range import WHOLE, Range
from tfp_nvp.distributions.fittable import Density

tfd = tfp.distributions


class TorusNormal(Density):
    """Independent elements: uniform angles on the circle [−π, π), and standard normal numbers.

        log p(z) = −m log 2π − Σ z² / 2 − (k / 2) log 2π,  m the number of angles, k of the others, over which Σ is

    Angles beyond the interval count as the points of the circle that they are.

    Args:
      circular: booleans [d], which elements are angles.
      dtype: float32 or float64.

    Raises:
      TypeError: if `circular` is no vector of booleans.
      ValueError: for another dtype.

    >>> round(float(TorusNormal([True, True]).log_prob([0.0, 3.0])), 4)
    -3.6758
    """

    def __init__(self, circular: Any, *, dtype: Any = "float32", name: str | None = None):
        mask = checks.mask("circular", circular, 1)
        if tf.as_dtype(dtype) not in (tf.float32, tf.float64):
            raise ValueError(f"`dtype` must be float32 or float64; got {dtype!r}.")
        self._circular = mask
        super().__init__(dtype=tf.as_dtype(dtype), reparameterization_type=tfd.FULLY_REPARAMETERIZED, name=name)

    @property
    def circular(self) -> np.ndarray:
        """Which elements are angles, booleans [d]."""
        return self._circular

    @property
    def data_range(self) -> Range:
        """The bounds of every element."""
        return Range.of_elements(self._circular, Range(-math.pi, math.pi), WHOLE)

    def from_normals(self, z: tf.Tensor) -> tf.Tensor:
        """Standard normal numbers [..., d] as samples: of an angle, 2π Φ(z) − π."""
        angle = math.pi * _erf(z / math.sqrt(2.0))
        return tf.where(self._circular, angle, z)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape(self._circular.shape)

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant(self._circular.shape, tf.int32)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], self._event_shape_tensor()], axis=0)
        seed = tfp.random.sanitize_seed(seed)
        return self.from_normals(tf.random.stateless_normal(shape, seed, dtype=self.dtype, alg="philox"))

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        d = len(self._circular)
        if not z.shape.rank or not z.shape[-1:].is_compatible_with([d]):
            raise ValueError(f"`value` must end in the event shape {[d]}; got shape {z.shape}.")
        # An angle adds nothing, but NaN where it is NaN.
        squares = tf.where(self._circular & ~tf.math.is_nan(z), tf.zeros_like(z), z**2)
        constant = 0.5 * (d + int(self._circular.sum())) * math.log(2.0 * math.pi)
        return -0.5 * tf.reduce_sum(squares, axis=-1) - constant

    def _entropy(self) -> tf.Tensor:
        m = int(self._circular.sum())
        d, log_turn = len(self._circular), math.log(2.0 * math.pi)
        return tf.constant(m * log_turn + 0.5 * (d - m) * (1.0 + log_turn), self.dtype)

    def _default_event_space_bijector(self) -> Any:
        ends = (np.where(self._circular, end, limit) for end, limit in ((-math.pi, -np.inf), (math.pi, np.inf)))
        return Support(*ends, dtype=self.dtype)


def _erf(x: tf.Tensor) -> tf.Tensor:
    """The error function; of float32 for other runtimes to 1.5e-7, by Abramowitz & Stegun (1964), 7.1.26."""
    if not is_portable() or x.dtype != tf.float32:
        return tf.math.erf(x)
    size = tf.abs(x)
    t = 1.0 / (1.0 + 0.3275911 * size)
    polynomial = tf.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = (polynomial + coefficient) * t
    return tf.sign(x) * (1.0 - polynomial * tf.exp(-(size**2)))
