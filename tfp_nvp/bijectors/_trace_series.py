"""log det(I + J) of the Jacobian J of a contraction g: exactly, by a series of traces, and by one that ends at random.

    log det(I + J) = Σ_{k ≥ 1} (−1)^(k+1) / k · tr(Jᵏ),    tr(A) = E[vᵀ A v] for v of independent random signs

It is the logarithm of a positive number, as ‖J‖ < 1. All of it is made of products Jᵀw, by backpropagation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import tensorflow as tf

from tfp_nvp._contraction import transposed_product
from tfp_nvp._portable import is_portable
from tfp_nvp.bijectors.bijector import Step

#: g of x [n, *event] and a condition [n, ...] or None.
Network: TypeAlias = Callable[[tf.Tensor, Any], tf.Tensor]

#: The probability with which a random series goes on, as in Residual Flows.
GOES_ON = 0.5
#: More terms than a random series ever has after its certain ones.
_MOST_TERMS = 100


def exact(network: Network, x: tf.Tensor, condition: Any) -> Step:
    """g [n, *event], and log det(I + J) [n] from the whole J: a pass of d copies of each event."""
    d = math.prod(x.shape[1:])
    unit = tf.reshape(tf.eye(d, dtype=x.dtype), [d, *x.shape[1:]])
    tape, copies, outputs, units = _copied(network, x, condition, unit)
    rows = tf.reshape(transposed_product(tape, outputs, copies, units), [d, -1, d])
    jacobian = tf.transpose(tf.ensure_shape(rows, [d, x.shape[0], d]), [1, 0, 2])
    return outputs[: tf.shape(x)[0]], log_det(tf.eye(d, dtype=x.dtype) + jacobian)


def log_det(matrix: tf.Tensor) -> tf.Tensor:
    """log det A [n] of matrices A [n, d, d] with a positive definite symmetric part, such as I + J.

    The sum of logarithms of the pivots of Gauss-Jordan elimination, which turns A into A⁻¹, the gradient; such matrices
    need no pivoting (Golub & Van Loan, "Matrix Computations", section 4.2). TensorFlow's own has no XLA kernel.
    """

    @tf.custom_gradient
    def eliminate(matrix: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        d = matrix.shape[-1]

        def body(k: tf.Tensor, a: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, ...]:
            unit = tf.one_hot(k, d, dtype=a.dtype)
            row, column = tf.gather(a, k, axis=-2), tf.gather(a, k, axis=-1)
            pivot = tf.gather(row, k, axis=-1)
            a -= (column - unit)[..., :, None] * ((row + unit) / pivot[..., None])[..., None, :]
            return k + 1, tf.ensure_shape(a, matrix.shape), total + tf.math.log(pivot)

        start = (tf.constant(0), matrix, tf.zeros_like(matrix[..., 0, 0]))
        _, inverse, total = tf.while_loop(lambda k, *_: k < d, body, start, maximum_iterations=d, parallel_iterations=1)
        return total, lambda upstream: upstream[..., None, None] * tf.linalg.matrix_transpose(inverse)

    return eliminate(matrix)


def fixed(network: Network, x: tf.Tensor, condition: Any, probes: tf.Tensor, num_terms: int) -> Step:
    """g, and the mean [n] of the first terms of the series for each v of `probes` [m, *event].

    Its derivatives are those of its value.
    """
    tape, copies, outputs, v = _copied(network, x, condition, probes)

    def body(k: tf.Tensor, w: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, ...]:
        w = tf.ensure_shape(transposed_product(tape, outputs, copies, w), v.shape)
        return k + 1, w, total - _sign(k, x.dtype) / tf.cast(k, x.dtype) * _inner(v, w)

    state = (tf.constant(1), v, tf.zeros_like(_inner(v, v)))
    if is_portable():  # a loop of other runtimes has no derivatives in it
        for _ in range(num_terms):
            state = body(*state)
    else:
        state = tf.while_loop(
            lambda k, *_: k <= num_terms, body, state, maximum_iterations=num_terms, parallel_iterations=1
        )
    total = state[-1]
    n = tf.shape(x)[0]
    return outputs[:n], tf.reduce_mean(tf.reshape(total, [probes.shape[0], n]), axis=0)


def roulette(
    network: Callable[..., tf.Tensor],
    x: tf.Tensor,
    inputs: Sequence[tf.Tensor],
    seed: tf.Tensor,
    num_certain: int,
) -> Step:
    """g, and an unbiased estimate [n] of log det(I + J), with unbiased derivatives: v and a length N for each row.

        Σ_{k=1}^{N} (−1)^(k+1) / (k P(N ≥ k)) vᵀ Jᵏ v,
        with the derivative wᵀ ∂J v,   w = Σ_{k=0}^{N} (−1)^k / P(N ≥ k) (Jᵀ)ᵏ v

    N ≥ `num_certain`, then goes on with probability 1/2. Memory of a first derivative does not grow with N. A second
    one differentiates w too, whose mean is (I + J)⁻ᵀ v.

    Args:
      network: g, of x and `inputs`, tensors that are all that it depends on.
      x: [n, *event].
      inputs: the others.
      seed: stateless, [2].
      num_certain: terms before the roulette.

    References: Chen et al. (2019), arXiv:1906.02735, equations 6 and 8; Kahn (1955) for the roulette.
    """
    signs, lengths = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    v = tf.cast(2 * tf.random.stateless_uniform(tf.shape(x), signs, 0, 2, tf.int32) - 1, x.dtype)
    uniform = 1.0 - tf.random.stateless_uniform(tf.shape(x)[:1], lengths, dtype=tf.float32)
    length = num_certain + tf.cast(tf.math.log(uniform) / math.log(GOES_ON), tf.int32)  # P(N ≥ k) = P(u ≤ ½^(k − m))

    @tf.custom_gradient
    def estimate(x: tf.Tensor, *inputs: tf.Tensor) -> tuple[Step, Callable]:
        with tf.GradientTape(persistent=True) as whole:
            whole.watch([x, *inputs])
            tape, g = _taped(lambda x, _: network(x, *inputs), x, None)
            with whole.stop_recording():
                total, w = _random_series(tape, g, x, v, length, num_certain)
            product = _inner(v, transposed_product(tape, g, x, w))

        def gradient(by_g: tf.Tensor, by_total: tf.Tensor) -> list[tf.Tensor]:
            zero = tf.UnconnectedGradients.ZERO
            return whole.gradient([g, product], [x, *inputs], [by_g, by_total], unconnected_gradients=zero)

        return (g, total), gradient

    return estimate(x, *inputs)


def _random_series(
    tape: tf.GradientTape, g: tf.Tensor, x: tf.Tensor, v: tf.Tensor, length: tf.Tensor, num_certain: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The estimate [n] and w [n, *event] of `roulette`, of signs v and a length of the series [n] for each row."""

    def body(k: tf.Tensor, w: tf.Tensor, total: tf.Tensor, neumann: tf.Tensor) -> tuple[tf.Tensor, ...]:
        w = tf.ensure_shape(transposed_product(tape, g, x, w), x.shape)
        probability = GOES_ON ** tf.cast(tf.maximum(k - num_certain, 0), x.dtype)
        weight = tf.where(k <= length, _sign(k, x.dtype) / probability, tf.zeros([], x.dtype))
        total -= weight / tf.cast(k, x.dtype) * _inner(v, w)
        return k + 1, w, total, neumann + tf.reshape(weight, [-1, *[1] * (x.shape.rank - 1)]) * w

    start = (tf.constant(1), tf.ensure_shape(v, x.shape), tf.zeros_like(_inner(x, x)), tf.ensure_shape(v, x.shape))
    return tf.while_loop(
        lambda k, *_: tf.reduce_any(k <= length),
        body,
        start,
        maximum_iterations=num_certain + _MOST_TERMS,
        parallel_iterations=1,
    )[2:]


def _taped(network: Network, x: tf.Tensor, condition: Any) -> tuple[tf.GradientTape, tf.Tensor]:
    """A tape for any number of products Jᵀw, and g."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        g = network(x, condition)
    return tape, g


def _copied(
    network: Network, x: tf.Tensor, condition: Any, vectors: tf.Tensor
) -> tuple[tf.GradientTape, tf.Tensor, tf.Tensor, tf.Tensor]:
    """A tape, m copies of all n events, their g, and vectors [m, *event] for each event: all [m n, *event].

    The first n are the first copy.
    """
    m, n = vectors.shape[0], tf.shape(x)[0]
    copies, conditions = (
        None if value is None else tf.tile(value, [m, *[1] * (value.shape.rank - 1)]) for value in (x, condition)
    )
    tape, outputs = _taped(network, copies, conditions)
    repeated = tf.tile(vectors[:, None], [1, n, *[1] * (x.shape.rank - 1)])
    return tape, copies, outputs, tf.reshape(repeated, tf.shape(copies))


def _sign(k: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """(−1)^k."""
    return tf.cast(1 - 2 * (k % 2), dtype)


def _inner(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The inner product [n] of each row of two [n, *event]."""
    return tf.reduce_sum(a * b, axis=list(range(1, a.shape.rank)))
