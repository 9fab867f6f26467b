"""A learned matrix, factored so that it stays invertible."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, masks
from tfp_nvp._finite import product
from tfp_nvp._limits import reserve
from tfp_nvp.bijectors.bijector import Bijector

#: Initial matrices of an `InvertibleLinear`.
STARTS = ("permutation", "orthogonal")
#: How it is factored.
PARAMETRIZATIONS = ("plu", "qr")


class InvertibleLinear(Bijector):
    """z = W x with a factored W that is never singular.

        plu: W = L (U + diag(σ exp(s))) P,    qr: W = Q (U + diag(σ exp(s)))
        log |det ∂z/∂x| = Σ s

    σ are fixed signs and U is a strict upper triangle. L is a lower triangle with ones on the diagonal, P a fixed
    permutation. Q is orthogonal, a product of d reflections I − 2 v vᵀ / ‖v‖² whose vectors are the columns of a lower
    triangle with ones on the diagonal. Inverse, the direction of density estimation, multiplies by W, and forward by
    the inverse of W, each formed once per call. The log-det costs O(d).

    Both have d² weights. The permutation of "plu" stays the one that it starts with, and with it the signs of all
    leading minors of W Pᵀ; "qr" keeps nothing but the sign of the determinant.

    Args:
      event_shape: [d].
      seed: of the permutation or rotation it starts as; None for the identity.
      start: "permutation", or "orthogonal" for a random orthogonal matrix.
      parametrization: "plu" or "qr".
      dtype: of weights and values.

    Raises:
      ValueError: for a shape that is not [d], another start or parametrization.

    >>> layer = InvertibleLinear([3], seed=0)
    >>> layer.inverse_log_det_jacobian(tf.ones([2, 3]), event_ndims=1).numpy().tolist()
    [0.0, 0.0]

    References: Kingma & Dhariwal (2018), "Glow", arXiv:1807.03039, equation 10; Hoogeboom, van den Berg & Welling
    (2019), "Emerging Convolutions for Generative Normalizing Flows", arXiv:1901.11137, section 4.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        seed: int | None = None,
        start: str = "permutation",
        parametrization: str = "plu",
        dtype: Any = "float32",
        name: str = "invertible_linear",
    ):
        event_shape, seed = checks.vector_shape("event_shape", event_shape), checks.seed("seed", seed)
        start = checks.choice("start", start, STARTS)
        parametrization = checks.choice("parametrization", parametrization, PARAMETRIZATIONS)
        super().__init__(event_shape=event_shape, dtype=dtype, is_constant_jacobian=True, name=name)
        (d,) = event_shape
        reserve(d * d)
        matrix = np.eye(d)
        if seed is not None and start == "permutation":
            matrix = matrix[masks.random_permutation(d, seed)]
        elif seed is not None:
            matrix = random_orthogonal(d, seed)
        np_dtype = self.dtype.as_numpy_dtype
        # Weights, though fixed: a layer of another seed that loads weights must load these too.
        self._permutation = None
        if parametrization == "plu":
            permutation, signs, factors = _plu_factors(matrix)
            self._permutation = tf.Variable(permutation.astype(np_dtype), name="permutation", trainable=False)
        else:
            signs, factors = _qr_factors(matrix)
        self._signs = tf.Variable(signs.astype(np_dtype), name="signs", trainable=False)
        self._below = np.tril(np.ones((d, d), np_dtype), -1)
        # One square matrix holds all factors: L, or the vectors v, below the diagonal, s on it, U above.
        self.factors = tf.Variable(factors.astype(np_dtype), name="factors", trainable=True)

    def _triangles(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """L, or the vectors v in columns [d, d], U + diag(σ exp(s)) [d, d] and s [d]."""
        log_scale = tf.linalg.diag_part(self.factors)
        lower = tf.linalg.set_diag(self.factors * self._below, tf.ones_like(log_scale))
        upper = tf.linalg.set_diag(self.factors * self._below.T, self._signs * tf.exp(log_scale))
        return lower, upper, log_scale

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper, log_scale = self._triangles()
        if self._permutation is None:
            inverse = tf.linalg.triangular_solve(upper, tf.transpose(_orthogonal(lower)), lower=False)
        else:
            inverse = tf.linalg.triangular_solve(lower, tf.eye(z.shape[-1], dtype=z.dtype), lower=True)
            inverse = tf.linalg.triangular_solve(upper, inverse, lower=False)
            inverse = tf.matmul(self._permutation, inverse, transpose_a=True)
        return _multiply(inverse, z), -tf.reduce_sum(log_scale)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        lower, upper, log_scale = self._triangles()
        if self._permutation is None:
            matrix = tf.matmul(_orthogonal(lower), upper)
        else:
            matrix = tf.matmul(tf.matmul(lower, upper), self._permutation)
        return _multiply(matrix, x), tf.reduce_sum(log_scale)


def random_orthogonal(size: int, seed: int) -> np.ndarray:
    """An orthogonal matrix [size, size], uniform over all (Mezzadri 2007, arXiv:math-ph/0609050)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    return q * np.sign(np.diag(r))


def _plu_factors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P, σ, and L, s and U in one matrix, for a regular W.

    With the row-pivoted factors Wᵀ = Pₚ Lₚ Uₚ it is W = Uₚᵀ Lₚᵀ Pₚᵀ; the diagonal D of Uₚ moves from
    the lower triangle to the upper: L = Uₚᵀ D⁻¹, U + diag(σ exp(s)) = D Lₚᵀ, P = Pₚᵀ.
    """
    with tf.init_scope():  # the layer may be made while a graph is traced
        packed, order = (factor.numpy() for factor in tf.linalg.lu(matrix.T))
    diagonal = np.diag(packed)
    lower, upper = np.triu(packed, 1).T / diagonal, diagonal[:, np.newaxis] * np.tril(packed, -1).T
    return np.eye(len(matrix))[order], np.sign(diagonal), lower + upper + np.diag(np.log(np.abs(diagonal)))


def _orthogonal(vectors: tf.Tensor) -> tf.Tensor:
    """The product of the reflections I − 2 v vᵀ / ‖v‖² of the columns of `vectors` [d, d], first to last.

    It is I − V T⁻¹ Vᵀ, where T is upper triangular: diag(‖v‖² / 2) and, above, that of VᵀV (Joffrain, Low,
    Quintana-Ortí, van de Geijn & Van Zee 2006, "Accumulating Householder Transformations, Revisited", ACM TOMS 32(2)).
    """
    products = tf.matmul(vectors, vectors, transpose_a=True)
    triangle = tf.linalg.set_diag(products, tf.linalg.diag_part(products) / 2.0)  # the solver reads no lower half
    identity = tf.eye(vectors.shape[-1], dtype=vectors.dtype)
    return identity - tf.matmul(vectors, tf.linalg.triangular_solve(triangle, tf.transpose(vectors), lower=False))


def _qr_factors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ, and v, s and U in one matrix, for a regular W.

    The i-th reflection takes the rest x of a column to −sign(x₀) ‖x‖ e₀ by v = x + sign(x₀) ‖x‖ e₀, whose first
    element is never small, and which is divided by it.
    """
    rest, vectors = matrix.copy(), np.eye(len(matrix))
    for i in range(len(matrix)):
        v = rest[i:, i].copy()
        v[0] += np.copysign(np.linalg.norm(v), v[0])
        v /= v[0]
        rest[i:] -= np.outer(v, 2.0 / (v @ v) * (v @ rest[i:]))
        vectors[i:, i] = v
    diagonal = np.diag(rest)
    return np.sign(diagonal), np.tril(vectors, -1) + np.triu(rest, 1) + np.diag(np.log(np.abs(diagonal)))


def _multiply(matrix: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """matrix · v for every v of `vectors` [..., d]."""
    rows = product(tf.reshape(vectors, (-1, vectors.shape[-1])), tf.transpose(matrix))
    return tf.ensure_shape(tf.reshape(rows, tf.shape(vectors)), vectors.shape)
