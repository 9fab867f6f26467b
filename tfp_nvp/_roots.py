"""Roots of increasing functions, with derivatives of the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

#: x [...] → f(x) [...] and df/dx [...], elementwise and increasing.
Increasing: TypeAlias = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

#: Tolerance of a root, in units of rounding.
RESOLUTION = 4.0
#: Halving a bracket this often leaves nothing of it, in float64 too.
_MOST_STEPS = 100


def increasing_root(function: Increasing, target: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """The x [...] in [low, high] of f(x) = target, elementwise.

    Newton's method within a bracket, which is halved where a step would leave it or exceed half of the previous
    step. Two further Newton steps, which alone are differentiated, give derivatives that are right to third order:
    each step doubles the order to which a perturbed root is right. They change the value by rounding only.

    Args:
      function: f and its derivative, which must be positive; differentiable.
      target: [...].
      low, high: [...], the bracket.
    """
    limits = np.finfo(target.dtype.as_numpy_dtype)
    most = limits.max / 8  # what overflowed has a root there, rather than NaN
    target, low, high = (tf.clip_by_value(value, -most, most) for value in (target, low, high))
    least = limits.max**-0.4  # where the curve is flatter, its derivative is not told from zero
    x = tf.stop_gradient(bracketed_newton(function, target, low, high))
    resolution = RESOLUTION * limits.eps * (1.0 + tf.abs(x))
    for _ in range(2):
        value, slope = function(x)
        step = (target - value) / tf.maximum(slope, least)
        rounding = tf.stop_gradient(tf.clip_by_value(step, -resolution, resolution) - step)
        x += step + rounding
    return x


def bracketed_newton(function: Increasing, target: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """The root of `increasing_root`, without derivatives."""
    limits = np.finfo(target.dtype.as_numpy_dtype)
    resolution, tiny = RESOLUTION * limits.eps, limits.tiny

    def is_open(low: tf.Tensor, high: tf.Tensor, x: tf.Tensor, move: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(tf.abs(move) > resolution * (1.0 + tf.abs(x)))

    def narrow(low: tf.Tensor, high: tf.Tensor, x: tf.Tensor, move: tf.Tensor) -> tuple:
        value, slope = function(x)
        newton = (target - value) / tf.maximum(slope, tiny)
        low, high = tf.where(value <= target, x, low), tf.where(value >= target, x, high)
        inside = (x + newton >= low) & (x + newton <= high)
        use_newton = inside & (tf.abs(newton) <= 0.5 * tf.abs(move))
        new = tf.where(use_newton, x + newton, low + 0.5 * (high - low))
        return low, high, new, new - x

    start = (low, high, low + 0.5 * (high - low), high - low)
    return tf.while_loop(is_open, narrow, start, maximum_iterations=_MOST_STEPS, parallel_iterations=1)[2]
