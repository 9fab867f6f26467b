"""A mixture of Gaussians, whose kernels may be as many as there are rows of data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.distributions.fittable import Density

tfd = tfp.distributions

#: Components whose log-densities are held at once, to bound memory.
BLOCK = 64


class GaussianMixture(Density):
    """p(x) = Σₖ wₖ N(x; μₖ, Lₖ Lₖᵀ) over vectors, each component with its own covariance, or all with one.

        log p(x) = log Σₖ exp(log wₖ − |Lₖ⁻¹ (x − μₖ)|² / 2 − log |det Lₖ| − (d / 2) log 2π)

    With one covariance for all and a component for each row of data it is a kernel density estimate. Components are
    added up in blocks, so that thousands of them take little memory. All start at a standard normal; `assign` sets
    them, and gradients train them.

    Args:
      event_shape: [d].
      num_components: how many, at least 1.
      shared_scale: whether all components have one covariance.
      dtype: float32 or float64.

    Raises:
      TypeError, ValueError: for no vectors, fewer components, or another dtype.

    >>> mixture = GaussianMixture([2], num_components=3)
    >>> round(float(mixture.log_prob([0.0, 0.0])), 4)
    -1.8379
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_components: int,
        shared_scale: bool = False,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        shape = checks.shape("event_shape", event_shape)
        if len(shape) != 1:
            raise ValueError(f"`event_shape` must be that of vectors, [d]; got {list(shape)}.")
        if tf.as_dtype(dtype) not in (tf.float32, tf.float64):
            raise ValueError(f"`dtype` must be float32 or float64; got {dtype!r}.")
        (self._size,) = shape
        self._count = checks.integer("num_components", num_components, 1)
        super().__init__(dtype=tf.as_dtype(dtype), reparameterization_type=tfd.NOT_REPARAMETERIZED, name=name)
        scales = 1 if shared_scale else self._count
        self.logits = tf.Variable(tf.zeros([self._count], self.dtype), name="logits")
        self.means = tf.Variable(tf.zeros([self._count, self._size], self.dtype), name="means")
        #: Lower triangles of Lₖ [k or 1, d, d], with logarithms on the diagonal.
        self.log_scale = tf.Variable(tf.zeros([scales, self._size, self._size], self.dtype), name="log_scale")

    @property
    def num_components(self) -> int:
        """The number of components."""
        return self._count

    @property
    def scale_tril(self) -> tf.Tensor:
        """Lₖ, lower triangular with positive diagonals: [k, d, d]; [1, d, d] if all are the same."""
        triangle = tf.linalg.band_part(self.log_scale, -1, 0)
        return tf.linalg.set_diag(triangle, tf.exp(tf.linalg.diag_part(triangle)))

    def assign(self, log_weights: Any, means: Any, scale_tril: Any) -> None:
        """Sets all components.

        Args:
          log_weights: log wₖ [k], up to a constant.
          means: [k, d].
          scale_tril: Lₖ [k, d, d], or [1, d, d] with `shared_scale`.
        """
        scale = np.tril(np.asarray(scale_tril))
        diagonal = np.diagonal(scale, axis1=-2, axis2=-1)
        if not (diagonal > 0).all():
            raise ValueError("`scale_tril` must have positive numbers on its diagonals.")
        self.logits.assign(np.asarray(log_weights, self.dtype.as_numpy_dtype))
        self.means.assign(np.asarray(means, self.dtype.as_numpy_dtype))
        places = np.arange(self._size)
        scale[..., places, places] = np.log(diagonal)
        self.log_scale.assign(scale.astype(self.dtype.as_numpy_dtype))

    def from_normals(self, component: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """μₖ + Lₖ z of standard normal z [n, d], k the components [n]."""
        scale, means = self.scale_tril, tf.gather(self.means, component)
        if scale.shape[0] == 1:
            return means + tf.linalg.matvec(scale[0], z)
        return means + tf.linalg.matvec(tf.gather(scale, component), z)

    @property
    def log_weights(self) -> tf.Tensor:
        """log wₖ [k]."""
        return tf.nn.log_softmax(self.logits)

    # TFP's hooks.

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self._size], tf.int32)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        of_component, of_normals = tf.unstack(tfp.random.split_seed(tfp.random.sanitize_seed(seed), n=2))
        component = tf.random.stateless_categorical(self.log_weights[tf.newaxis], n, of_component)[0]
        z = tf.random.stateless_normal([n, self._size], of_normals, dtype=self.dtype)
        return self.from_normals(component, z)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(tf.ensure_shape(x, [*[None] * (x.shape.rank - 1), self._size]), [-1, self._size])
        scale = self.scale_tril
        inverse = tf.linalg.triangular_solve(scale, tf.eye(self._size, batch_shape=scale.shape[:1], dtype=self.dtype))
        constant = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(inverse)), axis=-1) - 0.5 * self._size * math.log(
            2.0 * math.pi
        )
        log_weights, means = self.log_weights + constant, tf.convert_to_tensor(self.means)
        if scale.shape[0] == 1:  # whitened once; blocks only subtract
            rows, means = (tf.linalg.matmul(value, inverse[0], transpose_b=True) for value in (rows, means))
            inverse = None
        return tf.reshape(self._log_sum(rows, log_weights, means, inverse), tf.shape(x)[:-1])

    def _log_sum(self, rows: tf.Tensor, log_weights: tf.Tensor, means: tf.Tensor, inverse: Any) -> tf.Tensor:
        """The log-density [n] of rows [n, d], block by block of components."""
        blocks = -(-self._count // BLOCK)
        if blocks == 1:
            return _log_sum_of(rows, log_weights, means, inverse)
        missing = blocks * BLOCK - self._count
        log_weights = tf.pad(log_weights, [[0, missing]], constant_values=-np.inf)
        parts = [log_weights] + [
            tf.pad(value, [[0, missing], *[[0, 0]] * (value.shape.rank - 1)])
            for value in ((means,) if inverse is None else (means, inverse))
        ]
        parts = [tf.reshape(value, [blocks, BLOCK, *value.shape[1:]]) for value in parts]

        def log_sum_of(number: Any) -> tf.Tensor:
            return _log_sum_of(rows, *(value[number] for value in parts))

        def body(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return number + 1, tf.reduce_logsumexp(tf.stack([total, log_sum_of(number)]), axis=0)

        _, total = tf.while_loop(
            lambda number, _: number < blocks,
            body,
            (tf.constant(1), log_sum_of(0)),
            maximum_iterations=blocks - 1,
            parallel_iterations=1,
        )
        return total


def _log_sum_of(rows: tf.Tensor, log_weights: tf.Tensor, means: tf.Tensor, inverse: Any = None) -> tf.Tensor:
    """log Σₖ wₖ exp(−|Lₖ⁻¹ (x − μₖ)|² / 2) of rows [n, d]; `inverse` is None where both are whitened."""
    distance = rows[:, tf.newaxis] - means
    if inverse is not None:
        distance = tf.einsum("kij,nkj->nki", inverse, distance)
    return tf.reduce_logsumexp(log_weights - 0.5 * tf.reduce_sum(distance**2, axis=-1), axis=-1)
