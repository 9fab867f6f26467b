"""Fixed points of contractions, with derivatives of the implicit function theorem."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

#: A row is final where a step is at most this, in units of rounding.
RESOLUTION = 4.0


def fixed_point(
    function: Callable[..., tf.Tensor],
    start: tf.Tensor,
    inputs: Sequence[tf.Tensor],
    *,
    scale: tf.Tensor,
    rate: float,
) -> tf.Tensor:
    """The y [n, ...] of y = function(y, *inputs), row by row.

    A row of m numbers is final once no number moves by more than 4 roundings of its `scale`. It is then at most
    4 √m rate / (1 − rate) of them from its fixed point (Banach), plus the rounding of the function itself.

    The derivatives are those of the implicit function: with y = f(y, θ), J = ∂f/∂y and a gradient v of y, that of θ is
    (∂f/∂θ)ᵀ u, where u = v + Jᵀ u is a fixed point too, so that they are right to every order. The iteration is not
    differentiated, and its memory does not grow with the number of steps.

    Args:
      function: a contraction of its first argument, differentiable; of tensors that are all among its arguments.
      start: [n, ...], the first guess.
      inputs: the function's other arguments.
      scale: [n], the size of the numbers whose rounding limits the result.
      rate: a Lipschitz constant of the function by the Euclidean norm, below 1; it bounds the number of steps.
    """

    @tf.custom_gradient
    def solution(*inputs: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        y = _iterated(lambda y: function(y, *inputs), start, scale, rate)

        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            # The same y, as a function of the inputs for second derivatives; it is found at once.
            at = fixed_point(function, tf.stop_gradient(y), inputs, scale=scale, rate=rate)

            def adjoint(u: tf.Tensor, upstream: tf.Tensor, at: tf.Tensor, *inputs: tf.Tensor) -> tf.Tensor:
                with tf.GradientTape() as tape:
                    tape.watch(at)
                    value = function(at, *inputs)
                return upstream + transposed_product(tape, value, at, u)

            u = fixed_point(adjoint, upstream, (upstream, at, *inputs), scale=_length(upstream), rate=rate)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                value = function(at, *inputs)
            return tape.gradient(value, list(inputs), u, unconnected_gradients=tf.UnconnectedGradients.ZERO)

        return y, gradient

    return solution(*inputs)


def transposed_product(tape: tf.GradientTape, value: tf.Tensor, x: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """(∂value/∂x)ᵀ w, of a tape that watched x."""
    return tape.gradient(value, x, w, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _iterated(function: Callable[[tf.Tensor], tf.Tensor], start: tf.Tensor, scale: tf.Tensor, rate: float) -> tf.Tensor:
    eps = float(np.finfo(start.dtype.as_numpy_dtype).eps)
    limit = RESOLUTION * eps * scale

    def step(is_open: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        new = tf.ensure_shape(function(y), y.shape)
        still_open = is_open & (_length(new - y) > limit)
        # A row that is final stays as it is: its result does not depend on the rest of the batch.
        return still_open, tf.where(_beside(is_open, y), new, y)

    most = math.ceil(math.log(eps * (1.0 - rate)) / math.log(rate))
    return tf.while_loop(
        lambda is_open, _: tf.reduce_any(is_open),
        step,
        (tf.ones_like(scale, tf.bool), start),
        maximum_iterations=most,
        parallel_iterations=1,
    )[1]


def _length(value: tf.Tensor) -> tf.Tensor:
    """The largest absolute value [n] of each row of [n, ...]."""
    return tf.reduce_max(tf.abs(value), axis=list(range(1, value.shape.rank)))


def _beside(rows: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """rows [n] as [n, 1, ...], of the rank of `value`."""
    return rows[(slice(None), *[None] * (value.shape.rank - 1))]
