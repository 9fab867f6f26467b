"""Sylvester maps."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import summable
from tfp_nvp._portable import is_portable
from tfp_nvp._roots import bracketed_newton
from tfp_nvp.bijectors._amortized import Amortized, above_minus_one
from tfp_nvp.bijectors.bijector import Step

#: How the columns of Q are made orthonormal.
BASES = ("orthogonal", "householder", "triangular")


class Sylvester(Amortized):
    """A planar map along m directions at once.

        x = z + Q R tanh(R̃ Qᵀz + b)
        log_det = Σᵢ log(1 + rᵢᵢ r̃ᵢᵢ sech²(R̃ Qᵀz + b)ᵢ)

    with Q [d, m] of orthonormal columns, R and R̃ [m, m] upper triangular, r̃ᵢᵢ = exp(3 tanh(sᵢ / 3)) and
    rᵢᵢ = m(aᵢ) / r̃ᵢᵢ, m as in `Planar`, so that rᵢᵢ r̃ᵢᵢ > −1 and the map is invertible.

    `inverse` finds v = Qᵀz from Qᵀx = v + R tanh(R̃ v + b), which is triangular: m bracketed scalar roots, one after
    the other, the last element first, with derivatives of the implicit function theorem. Then
    z = x − Q R tanh(R̃ v + b).

    All numbers are weights; with a condition, weights plus a network's output. R starts at zero, so the layer starts as
    the identity.

    Args:
      event_shape: [d].
      num_directions: m, from 1 to d; by default d.
      basis: how Q is made: "orthogonal", by a QR decomposition of d · m numbers; "householder", the first m columns of
        a product of `num_reflections` Householder reflections, d numbers each; "triangular", of no numbers, the first m
        elements.
      num_reflections: of the basis "householder".
      reverse: for the basis "triangular", whether the elements are taken from the last one on: alternate it.
      conditioner: a Keras layer from the condition, [n, 0] and [n, ...] → [n, number of numbers]; an MLP by default.
      condition_shape: shape of the condition, or None.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> layer = Sylvester([3], num_directions=2, seed=0)
    >>> layer.inverse(layer.forward([[1.0, -2.0, 0.5]])).numpy().round(4).tolist()
    [[1.0, -2.0, 0.5]]

    References: van den Berg, Hasenclever, Tomczak & Welling (2018), "Sylvester Normalizing Flows for Variational
    Inference", arXiv:1803.05649, equations 9 to 17 and theorem 1.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_directions: int | None = None,
        basis: str = "orthogonal",
        num_reflections: int = 8,
        reverse: bool = False,
        conditioner: keras.layers.Layer | None = None,
        condition_shape: Any = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        (d,) = event_shape = checks.vector_shape("event_shape", event_shape)
        m = d if num_directions is None else checks.integer("num_directions", num_directions, 1)
        if m > d:
            raise ValueError(f"`num_directions` must be at most the number of elements, {d}; got {m}.")
        if basis not in BASES:
            raise ValueError(f"`basis` must be one of {', '.join(map(repr, BASES))}; got {basis!r}.")
        reflections = checks.integer("num_reflections", num_reflections, 1)
        sizes = {"orthogonal": (d, m), "householder": (reflections, d), "triangular": (0,)}
        self._basis_shape, self._basis, self._reverse, self._m = sizes[basis], basis, bool(reverse), m
        # Of the basis, R with its diagonal first, log r̃ᵢᵢ, R̃ above its diagonal, and b.
        self._sizes = [math.prod(self._basis_shape), m * (m + 1) // 2, m, m * (m - 1) // 2, m]
        super().__init__(
            event_shape, conditioner=conditioner, condition_shape=condition_shape, seed=seed, dtype=dtype, name=name
        )

    def _start(self, rng: np.random.Generator) -> np.ndarray:
        basis, upper, diagonal, others, shift = self._sizes
        return np.concatenate(
            [
                rng.normal(size=basis),
                np.zeros(upper + diagonal),
                rng.normal(size=others) / np.sqrt(self._m),
                rng.normal(size=shift),
            ]
        )

    def _map(self, z: tf.Tensor, raw: tf.Tensor) -> Step:
        basis, *others = self._numbers_of(raw)
        shift, log_det = _Triangular(*others).at(_project(basis, z))
        return z + _lift(basis, shift), log_det

    def _inverse_map(self, x: tf.Tensor, raw: tf.Tensor) -> Step:
        basis, *others = self._numbers_of(raw)
        triangular = _Triangular(*others)
        shift, log_det = triangular.at(triangular.solve(_project(basis, x)))
        return x - _lift(basis, shift), log_det

    def _numbers_of(self, raw: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Q [..., d, m], R and R̃ [..., m, m], the products of their diagonals [..., m], and b [..., m]."""
        numbers, upper, log_diagonal, others, b = tf.split(raw, self._sizes, axis=-1)
        asked, above = upper[..., : self._m], upper[..., self._m :]
        product = above_minus_one(asked)
        diagonal = tf.exp(3.0 * tf.tanh(log_diagonal / 3.0))
        return (
            self._orthonormal(numbers),
            _upper(product / diagonal, above),
            _upper(diagonal, others),
            product,
            b,
        )

    def _orthonormal(self, numbers: tf.Tensor) -> tf.Tensor:
        d, m = self._size, self._m
        if self._basis == "triangular":
            identity = np.eye(d)[:, ::-1] if self._reverse else np.eye(d)
            return tf.constant(identity[:, :m], numbers.dtype)
        matrix = tf.reshape(numbers, tf.concat([tf.shape(numbers)[:-1], self._basis_shape], axis=0))
        if self._basis == "orthogonal":
            return _orthonormal_columns(matrix, d, m) if is_portable() else tf.linalg.qr(matrix)[0]
        columns = tf.eye(d, m, dtype=numbers.dtype)
        for vector in tf.unstack(matrix, axis=-2):
            squared = tf.reduce_sum(vector**2, axis=-1, keepdims=True)
            unit = vector / tf.sqrt(tf.maximum(squared, np.finfo(numbers.dtype.as_numpy_dtype).tiny))
            along = tf.einsum("...i,...ij->...j", unit, columns)
            columns -= 2.0 * unit[..., :, None] * along[..., None, :]
        return columns


def _orthonormal_columns(matrix: tf.Tensor, d: int, m: int) -> tf.Tensor:
    """Q [..., d, m] of the QR decomposition of a matrix [..., d, m], m ≤ d, of operations that other runtimes have.

    By Householder's reflections, with the signs that `tf.linalg.qr` gives; the last element is not reflected.
    """
    vectors, identity = [], np.eye(d)
    tiny = np.finfo(matrix.dtype.as_numpy_dtype).tiny

    def reflected(columns: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        along = tf.reduce_sum(vector * columns, axis=-2, keepdims=True)
        return columns - 2.0 * vector * along

    for k in range(min(m, d - 1)):
        below = tf.constant((np.arange(d) >= k)[:, np.newaxis], matrix.dtype)
        column = below * matrix[..., k : k + 1]
        first, norm = column[..., k : k + 1, :], tf.sqrt(tf.reduce_sum(column**2, axis=-2, keepdims=True))
        vector = column + tf.where(first < 0.0, -norm, norm) * tf.constant(identity[:, k : k + 1], matrix.dtype)
        vector /= tf.sqrt(tf.maximum(tf.reduce_sum(vector**2, axis=-2, keepdims=True), tiny))
        vectors.append(vector)
        matrix = reflected(matrix, vector)
    columns = tf.constant(identity[:, :m], matrix.dtype)
    for vector in reversed(vectors):
        columns = reflected(columns, vector)
    return columns


class _Triangular:
    """v → R tanh(R̃ v + b), and log |det| of v + that.

    `diagonal` is that of R R̃.
    """

    def __init__(self, outer: tf.Tensor, inner: tf.Tensor, diagonal: tf.Tensor, b: tf.Tensor):
        self.outer, self.inner, self.diagonal, self.b = outer, inner, diagonal, b

    def at(self, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        t = tf.tanh(_times(self.inner, v) + self.b)
        return _times(self.outer, t), tf.reduce_sum(tf.math.log1p(self.diagonal * (1.0 - t) * (1.0 + t)), axis=-1)

    def solve(self, target: tf.Tensor) -> tf.Tensor:
        """The v of v + R tanh(R̃ v + b) = target.

        Two differentiated Newton steps give derivatives of the implicit function, as in `increasing_root`.
        """
        v = tf.stop_gradient(self._roots(target))
        resolution = 4.0 * np.finfo(v.dtype.as_numpy_dtype).eps * (1.0 + tf.abs(v))
        identity = tf.eye(v.shape[-1], dtype=v.dtype)
        for _ in range(2):
            t = tf.tanh(_times(self.inner, v) + self.b)
            jacobian = identity + tf.matmul(self.outer * ((1.0 - t) * (1.0 + t))[..., None, :], self.inner)
            residual = target - v - _times(self.outer, t)
            step = _solve_upper(jacobian, residual)
            rounding = tf.stop_gradient(tf.clip_by_value(step, -resolution, resolution) - step)
            v += step + rounding
        return v

    def _roots(self, target: tf.Tensor) -> tf.Tensor:
        """v, without derivatives: solves all elements at once, m times; each time one more, from the last, is final."""
        outer, inner = self.outer, self.inner
        identity = tf.eye(target.shape[-1], dtype=target.dtype)
        outer_diagonal, inner_diagonal = (tf.reduce_sum(identity * m, axis=-1) for m in (outer, inner))
        outer_rest, inner_rest = ((1.0 - identity) * m for m in (outer, inner))

        def body(i: tf.Tensor, v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            offset = _times(inner_rest, v) + self.b
            goal = target - _times(outer_rest, tf.tanh(_times(inner, v) + self.b))

            def element(v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                t = tf.tanh(inner_diagonal * v + offset)
                return v + outer_diagonal * t, 1.0 + self.diagonal * (1.0 - t) * (1.0 + t)

            reach = tf.abs(outer_diagonal)
            return i + 1, tf.ensure_shape(bracketed_newton(element, goal, goal - reach, goal + reach), v.shape)

        m = target.shape[-1]
        start = (tf.constant(0), target)
        return tf.while_loop(lambda i, _: i < m, body, start, maximum_iterations=m, parallel_iterations=1)[1]


def _solve_upper(matrix: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """The v of R v = right [..., m], for an upper triangular R [..., m, m]."""
    if not is_portable():
        matrix = tf.broadcast_to(matrix, tf.concat([tf.shape(right), [right.shape[-1]]], axis=0))
        return tf.linalg.triangular_solve(matrix, right[..., None], lower=False)[..., 0]
    solved: list[tf.Tensor] = []
    for i in reversed(range(right.shape[-1])):
        known = tf.add_n([matrix[..., i, -1 - j] * v for j, v in enumerate(solved)]) if solved else 0.0
        solved.append((right[..., i] - known) / matrix[..., i, i])
    return tf.stack(solved[::-1], axis=-1)


def _upper(diagonal: tf.Tensor, above: tf.Tensor) -> tf.Tensor:
    """The upper triangular matrix [..., m, m] of a diagonal [..., m] and the m (m − 1) / 2 numbers above it."""
    m = diagonal.shape[-1]
    places = np.full((m, m), m * (m + 1) // 2)  # a zero
    places[np.diag_indices(m)] = np.arange(m)
    places[np.triu_indices(m, 1)] = np.arange(m, m * (m + 1) // 2)
    numbers = tf.concat([diagonal, above, tf.zeros_like(diagonal[..., :1])], axis=-1)
    return tf.gather(numbers, places, axis=-1)


def _times(matrix: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    return tf.einsum("...ij,...j->...i", matrix, vector)


def _project(basis: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Qᵀx."""
    return tf.einsum("...ij,...i->...j", basis, summable(x))


def _lift(basis: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """Q v."""
    return tf.einsum("...ij,...j->...i", basis, v)
