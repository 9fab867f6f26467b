"""A learned invertible matrix, in factors that keep it so."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, masks
from tfp_nvp.bijectors.bijector import Bijector


class InvertibleLinear(Bijector):
    """z = W x with W = L (U + diag(exp(s))) P, never singular.

        log |det ∂z/∂x| = Σ s

    P is a fixed permutation, L a lower triangle with ones on the diagonal,
    U a strict upper triangle. The inverse direction, which density estimation uses,
    multiplies by W, formed once per call; forward solves two triangular systems. The log-det costs O(d).

    It starts as the permutation alone.

    Args:
      event_shape: [d].
      seed: of the permutation; None for none.
      dtype: of weights and values.

    >>> layer = InvertibleLinear([3], seed=0)
    >>> layer.inverse_log_det_jacobian(tf.ones([2, 3]), event_ndims=1).numpy().tolist()
    [0.0, 0.0]

    References: Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039, equation 10.
    """

    def __init__(
        self, event_shape: Any, *, seed: int | None = None, dtype: Any = "float32", name: str = "invertible_linear"
    ):
        parameters = dict(locals())
        event_shape = checks.shape("event_shape", event_shape, min_rank=1)
        if len(event_shape) != 1:
            raise ValueError(f"`event_shape` must be [d]; got {list(event_shape)}.")
        super().__init__(
            event_shape=event_shape, dtype=dtype, is_constant_jacobian=True, parameters=parameters, name=name
        )
        (d,) = event_shape
        order = np.arange(d) if seed is None else masks.random_permutation(d, seed)
        # A weight, though fixed: weights loaded into a layer of another seed must bring it along.
        matrix = np.eye(d, dtype=self.dtype.as_numpy_dtype)[order]
        self._permutation = tf.Variable(matrix, name="permutation", trainable=False)
        self._below = self._no_dependency(np.tril(np.ones((d, d), self.dtype.as_numpy_dtype), -1))
        # One square matrix holds all: L below the diagonal, s on it, U above.
        self.factors = tf.Variable(tf.zeros((d, d), self.dtype), name="factors", trainable=True)

    def _triangles(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """L [d, d], U + diag(exp(s)) [d, d] and s [d]."""
        log_scale = tf.linalg.diag_part(self.factors)
        lower = tf.linalg.set_diag(self.factors * self._below, tf.ones_like(log_scale))
        upper = tf.linalg.set_diag(self.factors * self._below.T, tf.exp(log_scale))
        return lower, upper, log_scale

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper, log_scale = self._triangles()
        columns = tf.reshape(z, (-1, z.shape[-1]))
        columns = tf.linalg.triangular_solve(lower, tf.transpose(columns), lower=True)
        columns = tf.linalg.triangular_solve(upper, columns, lower=False)
        x = tf.reshape(tf.matmul(columns, self._permutation, transpose_a=True), tf.shape(z))
        return tf.ensure_shape(x, z.shape), -tf.reduce_sum(log_scale)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper, log_scale = self._triangles()
        matrix = tf.matmul(tf.matmul(lower, upper), self._permutation)
        rows = tf.matmul(tf.reshape(x, (-1, x.shape[-1])), matrix, transpose_b=True)
        return tf.ensure_shape(tf.reshape(rows, tf.shape(x)), x.shape), tf.reduce_sum(log_scale)
