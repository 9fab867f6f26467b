"""Sums of squares of polynomials, integrated."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.transformers._monotone import Monotone, softly_bounded

#: Largest coefficient of a polynomial.
_LARGEST = 10.0


class SumOfSquares(Monotone):
    """The integral of a sum of squared polynomials on [-bound, bound], with its tangents beyond.

        x = shift + ∫₀ᶻ (δ + (1 − δ) Σᵢ qᵢ(t / bound)²) dt,    qᵢ(u) = aᵢ₀ + aᵢ₁ u + … + aᵢᵣ uʳ

    m (r + 1) + 1 raw numbers per element: the coefficients of m polynomials of degree r, softly bounded, and the shift.
    The polynomials start near (m^-½, …), a little apart, so that they become different; zeros give a map within 1 % of
    the identity. `inverse` is a bracketed root with derivatives of the implicit function theorem.

    Args:
      num_polynomials: m, at least 1. Two suffice for any positive polynomial.
      degree: r, at least 1; x is a polynomial of degree 2 r + 1.
      bound: half the length of the interval, positive, in units of z.
      min_slope: δ, the least slope, in (0, 1).

    >>> polynomial = SumOfSquares(degree=3)
    >>> raw = tf.ones([polynomial.num_parameters, 2])
    >>> x, _ = polynomial.forward(tf.constant([-7.0, 0.3]), raw)
    >>> [round(float(v), 3) for v in polynomial.inverse(x, raw)[0]]
    [-7.0, 0.3]

    References: Jaini, Selby & Yu (2019), "Sum-of-Squares Polynomial Flow", arXiv:1905.02325, section 3.
    """

    def __init__(self, *, num_polynomials: int = 2, degree: int = 4, bound: float = 5.0, min_slope: float = 1e-3):
        super().__init__(bound=bound)
        self.num_polynomials = checks.integer("num_polynomials", num_polynomials, 1)
        self.degree = checks.integer("degree", degree, 1)
        self.min_slope = checks.number("min_slope", min_slope, checks.Interval(0.0, 1.0, closed="neither"))

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return self.num_polynomials * (self.degree + 1) + 1

    def _curve(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        r, m = self.degree, self.num_polynomials
        coefficients = [
            [raw_ + start for raw_, start in zip(tf.unstack(raw[i * (r + 1) : (i + 1) * (r + 1)]), starts, strict=True)]
            for i, starts in enumerate(self._starts())
        ]
        coefficients = [[softly_bounded(a, _LARGEST) for a in polynomial] for polynomial in coefficients]
        u = z / self.bound
        squares = tf.add_n([_value(polynomial, u) ** 2 for polynomial in coefficients])
        # ∫ u' of Σ aⱼ aₖ uʲ⁺ᵏ, the squares multiplied out.
        products = [
            tf.add_n([p[j] * p[n - j] for p in coefficients for j in range(max(0, n - r), min(r, n) + 1)]) / (n + 1.0)
            for n in range(2 * r + 1)
        ]
        slope = self.min_slope + (1.0 - self.min_slope) * squares
        x = raw[m * (r + 1)] + z * (self.min_slope + (1.0 - self.min_slope) * _value(products, u))
        return x, slope

    def _starts(self) -> np.ndarray:
        """Coefficients [m, r + 1] for raw numbers of zero."""
        m = self.num_polynomials
        starts = np.zeros((m, self.degree + 1))
        starts[:, 0] = m**-0.5
        starts[:, 1] = np.linspace(-0.1, 0.1, m) * m**-0.5 if m > 1 else 0.0
        return starts


def _value(coefficients: list[tf.Tensor], u: tf.Tensor) -> tf.Tensor:
    """The polynomial at u, by Horner's rule."""
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * u + coefficient
    return value
