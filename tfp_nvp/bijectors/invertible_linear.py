"""A learned matrix, factored so that it stays invertible."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, masks
from tfp_nvp.bijectors.bijector import Bijector

#: Initial matrices of an `InvertibleLinear`.
STARTS = ("permutation", "orthogonal")


class InvertibleLinear(Bijector):
    """z = W x with W = L (U + diag(σ exp(s))) P, never singular.

        log |det ∂z/∂x| = Σ s

    P is a fixed permutation, σ fixed signs, L a lower triangle with ones on the diagonal,
    U a strict upper triangle. Inverse, the direction of density estimation, multiplies by W, and
    forward by the inverse of W, each formed once per call from triangles. The log-det costs O(d).

    Args:
      event_shape: [d].
      seed: of the permutation or rotation it starts as; None for the identity.
      start: "permutation", or "orthogonal" for a random orthogonal matrix.
      dtype: of weights and values.

    Raises:
      ValueError: for a shape that is not [d], or another start.

    >>> layer = InvertibleLinear([3], seed=0)
    >>> layer.inverse_log_det_jacobian(tf.ones([2, 3]), event_ndims=1).numpy().tolist()
    [0.0, 0.0]

    References: Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039, equation 10.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        seed: int | None = None,
        start: str = "permutation",
        dtype: Any = "float32",
        name: str = "invertible_linear",
    ):
        event_shape = checks.shape("event_shape", event_shape, min_rank=1)
        if len(event_shape) != 1:
            raise ValueError(f"`event_shape` must be [d]; got {list(event_shape)}.")
        super().__init__(event_shape=event_shape, dtype=dtype, is_constant_jacobian=True, name=name)
        (d,) = event_shape
        if start not in STARTS:
            raise ValueError(f"`start` must be one of {', '.join(map(repr, STARTS))}; got {start!r}.")
        matrix = np.eye(d)
        if seed is not None and start == "permutation":
            matrix = matrix[masks.random_permutation(d, seed)]
        elif seed is not None:
            matrix = random_orthogonal(d, seed)
        permutation, signs, factors = _factors(matrix)
        np_dtype = self.dtype.as_numpy_dtype
        # Weights, though fixed: a layer of another seed that loads weights must load these too.
        self._permutation = tf.Variable(permutation.astype(np_dtype), name="permutation", trainable=False)
        self._signs = tf.Variable(signs.astype(np_dtype), name="signs", trainable=False)
        self._below = np.tril(np.ones((d, d), np_dtype), -1)
        # One square matrix holds all factors: L below the diagonal, s on it, U above.
        self.factors = tf.Variable(factors.astype(np_dtype), name="factors", trainable=True)

    def _triangles(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """L [d, d], U + diag(σ exp(s)) [d, d] and s [d]."""
        log_scale = tf.linalg.diag_part(self.factors)
        lower = tf.linalg.set_diag(self.factors * self._below, tf.ones_like(log_scale))
        upper = tf.linalg.set_diag(self.factors * self._below.T, self._signs * tf.exp(log_scale))
        return lower, upper, log_scale

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper, log_scale = self._triangles()
        inverse = tf.linalg.triangular_solve(lower, tf.eye(z.shape[-1], dtype=z.dtype), lower=True)
        inverse = tf.linalg.triangular_solve(upper, inverse, lower=False)
        inverse = tf.matmul(self._permutation, inverse, transpose_a=True)
        return _multiply(inverse, z), -tf.reduce_sum(log_scale)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper, log_scale = self._triangles()
        matrix = tf.matmul(tf.matmul(lower, upper), self._permutation)
        return _multiply(matrix, x), tf.reduce_sum(log_scale)


def random_orthogonal(size: int, seed: int) -> np.ndarray:
    """An orthogonal matrix [size, size], uniform over all (Mezzadri 2007, arXiv:math-ph/0609050)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    return q * np.sign(np.diag(r))


def _factors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P, σ, and L, s and U in one matrix, for a regular W.

    With the row-pivoted factors Wᵀ = Pₚ Lₚ Uₚ it is W = Uₚᵀ Lₚᵀ Pₚᵀ; the diagonal D of Uₚ moves from
    the lower triangle to the upper: L = Uₚᵀ D⁻¹, U + diag(σ exp(s)) = D Lₚᵀ, P = Pₚᵀ.
    """
    with tf.init_scope():  # the layer may be made while a graph is traced
        packed, order = (factor.numpy() for factor in tf.linalg.lu(matrix.T))
    diagonal = np.diag(packed)
    lower, upper = np.triu(packed, 1).T / diagonal, diagonal[:, np.newaxis] * np.tril(packed, -1).T
    return np.eye(len(matrix))[order], np.sign(diagonal), lower + upper + np.diag(np.log(np.abs(diagonal)))


def _multiply(matrix: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """matrix · v for every v of `vectors` [..., d]."""
    rows = tf.matmul(tf.reshape(vectors, (-1, vectors.shape[-1])), matrix, transpose_b=True)
    return tf.ensure_shape(tf.reshape(rows, tf.shape(vectors)), vectors.shape)
