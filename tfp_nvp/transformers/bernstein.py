"""Bernstein polynomials."""

from __future__ import annotations

import math

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.transformers._monotone import Monotone


class Bernstein(Monotone):
    """A Bernstein polynomial of degree n with increasing coefficients on [-bound, bound], the identity outside.

        x = Σₖ θₖ C(n, k) uᵏ (1 − u)ⁿ⁻ᵏ,    u = (z + bound) / (2 bound)
        dx/dz = n / (2 bound) Σₖ (θₖ₊₁ − θₖ) C(n − 1, k) uᵏ (1 − u)ⁿ⁻¹⁻ᵏ

    θ₀ = −bound and θₙ = bound; the first and the last increment are 2 bound / n, so the slope at both ends is 1 and
    the tails join smoothly; a softmax of n − 2 raw numbers divides the rest among the other increments. Zeros give the
    identity. `inverse` is a bracketed root with derivatives of the implicit function theorem.

    Args:
      degree: n, at least 4.
      bound: half the length of the interval, positive, in units of z and x.
      min_increment: least increment, as a fraction of the mean one, in (0, 1): the least slope.

    >>> polynomial = Bernstein(degree=8)
    >>> z = tf.constant([-7.0, 0.3])
    >>> x, log_det = polynomial.forward(z, tf.zeros([polynomial.num_parameters, 2]))
    >>> [round(float(v), 5) for v in x]
    [-7.0, 0.3]

    References: Ramasinghe, Fernando, Khan & Barnes (2021), "Robust normalizing flows using Bernstein-type
    polynomials", arXiv:2102.03509; Sick, Hothorn & Dürr (2020), "Deep transformation models", arXiv:2004.00464.
    """

    def __init__(self, *, degree: int = 16, bound: float = 5.0, min_increment: float = 1e-3):
        super().__init__(bound=bound)
        self.degree = checks.integer("degree", degree, 4)
        self.min_increment = checks.number("min_increment", min_increment, checks.Interval(0.0, 1.0, closed="neither"))

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return self.degree - 2

    def _curve(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        n, least = self.degree, self.min_increment
        # Increments in units of the mean one, 2 bound / n: their sum is n.
        inner = least + (1.0 - least) * (n - 2) * tf.nn.softmax(raw, axis=0)
        one = tf.ones_like(inner[:1])
        increments = tf.concat([one, inner, one], axis=0)
        u = 0.5 + z / (2.0 * self.bound)
        slope = tf.reduce_sum(increments * _basis(u, n - 1), axis=0)
        # x − z as a sum of deviations, which vanish for equal increments: the identity is exact.
        levels = tf.cumsum(increments - 1.0, axis=0)
        deviation = tf.reduce_sum(levels * _basis(u, n)[1:], axis=0)
        return z + (2.0 * self.bound / n) * deviation, slope


def _basis(u: tf.Tensor, n: int) -> tf.Tensor:
    """C(n, k) uᵏ (1 − u)ⁿ⁻ᵏ [n + 1, ...] for k = 0, …, n."""
    ups, downs = [tf.ones_like(u)], [tf.ones_like(u)]
    for _ in range(n):
        ups.append(ups[-1] * u)
        downs.append(downs[-1] * (1.0 - u))
    return tf.stack([math.comb(n, k) * ups[k] * downs[n - k] for k in range(n + 1)])
