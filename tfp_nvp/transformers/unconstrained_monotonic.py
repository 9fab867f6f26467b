"""The integral of a positive network."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.transformers._monotone import Monotone, clenshaw_curtis, softly_bounded

#: Largest |c| and Σ |vⱼ|: slopes lie between exp(−9) and exp(9).
_LARGEST_OFFSET, _LARGEST_SUM = 3.0, 6.0
#: Largest change of a unit's steepness, in units of 1 / bound.
_STEEPEST = 4.0


class UnconstrainedMonotonic(Monotone):
    """The integral of a positive network of one hidden layer, on [-bound, bound], with its tangents beyond.

        x = shift + ∫₀ᶻ exp(c + Σⱼ vⱼ tanh(aⱼ t + bⱼ)) dt

    3 k + 2 raw numbers per element are the network's weights: vⱼ, aⱼ and bⱼ of k hidden units, c and the shift. They
    are softly bounded: |vⱼ| < 6 / k, |c| < 3, and |aⱼ| < 6 / bound. aⱼ starts at 2 / bound, and bⱼ spread so that the
    units' steps lie all over the interval; vⱼ = 0 makes zeros the identity. The integral is a Clenshaw–Curtis
    quadrature: log_det is the log of the integrand, which the bounds keep so smooth that 33 nodes give it to 1e-8 nats.
    `inverse` is a bracketed root with derivatives of the implicit function theorem.

    Unlike in the paper, all weights of the integrand come from the conditioner, so that the transformer holds none.

    Args:
      num_units: k, at least 1.
      num_nodes: of the quadrature, at least 3.
      bound: half the length of the interval, positive, in units of z.

    >>> integral = UnconstrainedMonotonic(num_units=4)
    >>> z = tf.constant([-7.0, 0.3])
    >>> x, log_det = integral.forward(z, tf.zeros([integral.num_parameters, 2]))
    >>> [round(float(v), 5) for v in x]
    [-7.0, 0.3]

    References: Wehenkel & Louppe (2019), "Unconstrained Monotonic Neural Networks", arXiv:1908.05164, equation 2 and
    section 3.
    """

    def __init__(self, *, num_units: int = 8, num_nodes: int = 33, bound: float = 5.0):
        super().__init__(bound=bound)
        self.num_units = checks.integer("num_units", num_units, 1)
        self.num_nodes = checks.integer("num_nodes", num_nodes, 3)

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return 3 * self.num_units + 2

    def _curve(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        nodes, weights = (
            tf.reshape(tf.constant(numbers, z.dtype), [-1] + [1] * z.shape.rank)
            for numbers in clenshaw_curtis(self.num_nodes)
        )
        integral = tf.reduce_sum(weights * self._slope(nodes * z, raw), axis=0)
        return raw[-1] + z * integral, self._slope(z, raw)

    def _slope(self, t: tf.Tensor, raw: tf.Tensor) -> tf.Tensor:
        k = self.num_units
        centers = np.linspace(-1.0, 1.0, k) if k > 1 else np.zeros(1)
        s = softly_bounded(raw[3 * k], _LARGEST_OFFSET)
        for j in range(k):
            a = (2.0 + softly_bounded(raw[k + j], _STEEPEST)) / self.bound
            s += softly_bounded(raw[j], _LARGEST_SUM / k) * tf.tanh(a * t - 2.0 * float(centers[j]) + raw[2 * k + j])
        return tf.exp(s)
