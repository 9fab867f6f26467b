"""The base of most flows."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.distributions.fittable import Density

tfd = tfp.distributions


class StandardNormal(Density):
    """N(0, I) over events of a shape.

        log p(z) = −Σ z² / 2 − (d / 2) log 2π,  d the number of elements

    Equal to `tfd.Independent(tfd.Normal(zeros, ones))`, without its weights. Philox draws the samples in eager mode,
    in a graph and under XLA, whose default generator takes ten times as long on a CPU. (A seed gives other numbers
    under XLA.)

    Args:
      event_shape: a list of ints.
      dtype: float32 or float64.

    >>> round(float(StandardNormal([2]).log_prob([0.0, 0.0])), 4)
    -1.8379

    References: Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
    """

    def __init__(self, event_shape: Any, *, dtype: Any = "float32", name: str | None = None):
        self._shape = checks.shape("event_shape", event_shape)
        if tf.as_dtype(dtype) not in (tf.float32, tf.float64):
            raise ValueError(f"`dtype` must be float32 or float64; got {dtype!r}.")
        super().__init__(dtype=tf.as_dtype(dtype), reparameterization_type=tfd.FULLY_REPARAMETERIZED, name=name)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape(self._shape)

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant(self._shape, tf.int32)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], self._event_shape_tensor()], axis=0)
        return tf.random.stateless_normal(shape, tfp.random.sanitize_seed(seed), dtype=self.dtype, alg="philox")

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        rank = len(self._shape)
        if z.shape.rank < rank or not z.shape[z.shape.rank - rank :].is_compatible_with(self._shape):
            raise ValueError(f"`value` must end in the event shape {list(self._shape)}; got shape {z.shape}.")
        axes = list(range(-rank, 0))
        return -0.5 * tf.reduce_sum(z**2, axis=axes) - 0.5 * math.prod(self._shape) * math.log(2.0 * math.pi)

    def _entropy(self) -> tf.Tensor:
        return tf.constant(0.5 * math.prod(self._shape) * (1.0 + math.log(2.0 * math.pi)), self.dtype)

    def _mean(self) -> tf.Tensor:
        return tf.zeros(self._shape, self.dtype)

    def _mode(self) -> tf.Tensor:
        return self._mean()

    def _stddev(self) -> tf.Tensor:
        return tf.ones(self._shape, self.dtype)

    def _variance(self) -> tf.Tensor:
        return self._stddev()

    def _covariance(self) -> tf.Tensor:
        return tf.linalg.diag(self._variance()) if self._shape else self._variance()

    # Distribution functions, of single numbers only, are TFP's.

    def _cdf(self, z: tf.Tensor) -> tf.Tensor:
        return self._of_numbers("cdf").cdf(z)

    def _log_cdf(self, z: tf.Tensor) -> tf.Tensor:
        return self._of_numbers("log_cdf").log_cdf(z)

    def _survival_function(self, z: tf.Tensor) -> tf.Tensor:
        return self._of_numbers("survival_function").survival_function(z)

    def _log_survival_function(self, z: tf.Tensor) -> tf.Tensor:
        return self._of_numbers("log_survival_function").log_survival_function(z)

    def _quantile(self, value: tf.Tensor) -> tf.Tensor:
        return self._of_numbers("quantile").quantile(value)

    def _of_numbers(self, method: str) -> tfd.Normal:
        if self._shape:
            raise NotImplementedError(f"`{method}` is known of numbers, [], not of events {list(self._shape)}.")
        return tfd.Normal(tf.zeros([], self.dtype), tf.ones([], self.dtype))

    def _default_event_space_bijector(self) -> Any:
        return tfp.bijectors.Identity()


@tfd.RegisterKL(StandardNormal, StandardNormal)
def _no_divergence(a: StandardNormal, b: StandardNormal, name: str | None = None) -> tf.Tensor:
    """KL between two of the same shape."""
    if a.event_shape != b.event_shape:
        raise ValueError(f"Both must have one event shape; they have {a.event_shape} and {b.event_shape}.")
    return tf.zeros([], a.dtype)
