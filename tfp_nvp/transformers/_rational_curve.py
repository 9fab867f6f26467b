"""One bin of a rational-quadratic spline: its curve, its inverse, and their gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf


class Bin(NamedTuple):
    """The bin of the spline that a value falls in; every field has the value's shape."""

    index: tf.Tensor
    left: tf.Tensor  # z at the left knot
    width: tf.Tensor
    bottom: tf.Tensor  # x at the left knot
    height: tf.Tensor
    slope: tf.Tensor  # dx/dz at the left knot, δ₀
    next_slope: tf.Tensor  # dx/dz at the right knot, δ₁

    def solve(self, u: tf.Tensor) -> tf.Tensor:
        """The fraction θ of the width at which the spline has risen by the fraction u of the height.

        A root of a θ² + b θ + c = 0 (equations 6 to 8 of Durkan et al. 2019, divided by the height) with
        b = δ₀ − u σ, a = s − b, c = −s u, σ = δ₀ + δ₁ − 2 s. Its discriminant b² − 4 a c is
        (δ₀ − u (δ₀ + δ₁))² + 4 s² u (1 − u): two terms that are never negative, nor both zero.
        """
        s, u = self.height / self.width, held(u)
        total = self.slope + self.next_slope
        b = self.slope - u * (total - 2.0 * s)
        root = tf.sqrt((self.slope - u * total) ** 2 + 4.0 * s**2 * u * (1.0 - u))
        # The form of the root without cancellation.
        numerator = tf.where(b >= 0.0, 2.0 * s * u, root - b)
        denominator = tf.where(b >= 0.0, b + root, 2.0 * (s - b))
        return numerator / denominator


@tf.custom_gradient
def held(fraction: tf.Tensor) -> Any:
    """A fraction held to [0, 1], out of which rounding of the knots can take it. Its derivatives are not held."""
    return tf.clip_by_value(fraction, 0.0, 1.0), lambda upstream: upstream


class Curve:
    """The spline at the fraction θ of a bin: x = bottom + height · N / D, dx/dz = s² M / D².

    N = s θ² + δ₀ θ (1 − θ)
    D = s + (δ₀ + δ₁ − 2 s) θ (1 − θ)
    M = δ₁ θ² + 2 s θ (1 − θ) + δ₀ (1 − θ)²

    θ is held to [0, 1], where all terms of N, D and M are positive: beyond, M and the slope can be negative. With
    slopes and s between ε and 1/ε, M lies between ε and 1/ε, and D / s between ½ and 1/ε², so that nothing here leaves
    the range of a dtype whose largest number is far above ε⁻⁵.
    """

    def __init__(self, theta: tf.Tensor, piece: Bin):
        theta = held(theta)
        self.piece, self.theta, self.rest = piece, theta, 1.0 - theta
        self.s = piece.height / piece.width
        self.mixed = self.theta * self.rest
        self.N = self.s * theta**2 + piece.slope * self.mixed
        # D as a sum of two positive terms can't cancel to zero.
        self.D = self.s * (1.0 - 2.0 * self.mixed) + (piece.slope + piece.next_slope) * self.mixed
        self.M = piece.next_slope * theta**2 + 2.0 * self.s * self.mixed + piece.slope * self.rest**2

    def rise(self) -> tf.Tensor:
        """x − bottom."""
        return self.piece.height * self.N / self.D

    def run(self) -> tf.Tensor:
        """z − left."""
        return self.piece.width * self.theta

    def log_slope(self) -> tf.Tensor:
        """log dx/dz, in nats."""
        return tf.math.log((self.s / self.D) ** 2 * self.M)

    def gradient(self, g_x: tf.Tensor, g_log_slope: tf.Tensor) -> tuple[tf.Tensor, Bin]:
        """Gradients of z and of the bin's numbers, with z held, given those of x and of log dx/dz."""
        s, theta, rest, mixed, d0, d1 = self.s, self.theta, self.rest, self.mixed, *self.piece[-2:]
        N, D, M, width, height = self.N, self.D, self.M, self.piece.width, self.piece.height
        upstream = height * g_x / D**2  # of N / D, times 1 / D²
        g_theta = upstream * s * M + g_log_slope * self._log_slope_by_theta()
        g_s = upstream * mixed * (d1 * theta**2 - d0 * rest**2) + 2.0 * g_log_slope * (
            1.0 / s + mixed / M - (1.0 - 2.0 * mixed) / D
        )
        g_d0 = upstream * mixed * (s * rest**2 + d1 * mixed) + g_log_slope * (rest**2 / M - 2.0 * mixed / D)
        g_d1 = -upstream * mixed * N + g_log_slope * (theta**2 / M - 2.0 * mixed / D)
        g_z = g_theta / width
        g_width, g_height = -(g_s * s + g_theta * theta) / width, (g_x * height * N / D + g_s * s) / height
        return g_z, Bin(self.piece.index, -g_z, g_width, g_x, g_height, g_d0, g_d1)

    def inverse_gradient(self, g_z: tf.Tensor, g_log_slope: tf.Tensor) -> tuple[tf.Tensor, Bin]:
        """Gradients of x and of the bin's numbers, with x held, given those of z and of log dz/dx.

        By the implicit function theorem: with f the map from z to x and p a number of the bin,
        dz = (dx − f_p dp) / f' and d log dz/dx = −(∂z log f' dz + ∂p log f' dp), so that

            g_x = (g_z − g_log_slope · ∂z log f') / f'

        and the bin's gradients are those of the forward map for −g_x and −g_log_slope.
        """
        by_z = self._log_slope_by_theta() / self.piece.width
        g_x = (g_z - g_log_slope * by_z) * self.D**2 / (self.s**2 * self.M)
        return g_x, self.gradient(-g_x, -g_log_slope)[1]

    def _log_slope_by_theta(self) -> tf.Tensor:
        s, theta, rest, d0, d1 = self.s, self.theta, self.rest, *self.piece[-2:]
        turn = 1.0 - 2.0 * theta
        return 2.0 * ((d1 * theta + s * turn - d0 * rest) / self.M - (d0 + d1 - 2.0 * s) * turn / self.D)
