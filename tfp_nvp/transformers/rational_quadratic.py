"""The rational-quadratic spline transformer of neural spline flows."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.transformers._spline import Spline


class RationalQuadratic(Spline):
    """A monotone spline of rational quadratics on [-bound, bound], the identity outside.

    In the bin of z, with θ = (z − left) / width, s = height / width and knot slopes δ₀, δ₁:

        x = bottom + height · (s θ² + δ₀ θ (1 − θ)) / (s + (δ₀ + δ₁ − 2 s) θ (1 − θ))
        dx/dz = s² (δ₁ θ² + 2 s θ (1 − θ) + δ₀ (1 − θ)²) / (s + (δ₀ + δ₁ − 2 s) θ (1 − θ))²

    3 k − 1 raw numbers per element, for k bins: k widths and k heights (each through a
    softmax), k − 1 slopes of the inner knots (through a softplus, held between min_slope and
    1 / min_slope). The outer slopes are 1, so the tails join smoothly. Zeros give the identity.

    Values, gradients and second derivatives are finite for every finite input, on the knots and at ±1e30. Sizes and
    slopes are limited for this, and so that a bin is wide enough for the numbers of a dtype to lie in it:

        dtype      min_width, min_height     min_slope
        float32    at least 1e-5             at least 1e-3
        float64    at least 1e-9             at least 1e-9

    Args:
      num_bins: k, at least 2.
      bound: half the length of the interval, from 1e-3 to 1e6, in units of z and x.
      min_width, min_height: least width and height of a bin as a fraction of the
        interval; `num_bins` times either must stay below 1.
      min_slope: least slope at a knot, below 1.

    Raises:
      ValueError: if an argument is out of its range; when a layer is made, or the spline used, in a dtype that can't
        carry the sizes.

    >>> spline = RationalQuadratic(num_bins=4)
    >>> z = tf.constant([-7.0, 0.3])
    >>> x, log_det = spline.forward(z, tf.zeros([spline.num_parameters, 2]))
    >>> [round(float(v), 5) for v in x]
    [-7.0, 0.3]

    References: Durkan, Bekasov, Murray & Papamakarios (2019), "Neural Spline Flows",
    arXiv:1906.04032, section 3.1 and appendix A.1; the minimum sizes are those of its code.
    """

    def __init__(
        self,
        *,
        num_bins: int = 8,
        bound: float = 5.0,
        min_width: float = 1e-3,
        min_height: float = 1e-3,
        min_slope: float = 1e-3,
    ):
        bound = checks.positive("bound", bound)
        if not 1e-3 <= bound <= 1e6:
            raise ValueError(f"`bound` must be from 1e-3 to 1e6; got {bound}. Scale the data, as ActNorm does.")
        super().__init__(num_bins, bound, min_width, min_height, min_slope)

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return 3 * self.num_bins - 1

    def keeps(self, low: Any, high: Any) -> bool:
        return bool((np.minimum(np.abs(low), np.abs(high)) >= self.bound * (1.0 - 1e-6)).all())

    def _apply(self, value: tf.Tensor, raw: tf.Tensor, inverse: bool) -> tuple[tf.Tensor, tf.Tensor]:
        self.check_dtype(value.dtype)

        @tf.custom_gradient
        def spline(value: tf.Tensor, raw: tf.Tensor) -> Any:
            inside, zero = tf.abs(value) < self.bound, tf.zeros_like(value)
            # In the tails the spline is evaluated at 0 and discarded, so that neither it nor its gradient overflows.
            piece = self._within(tf.where(inside, value, zero), raw, inverse)

            def gradient(g_result: tf.Tensor, g_log_det: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                g_inner, g_raw = piece.gradient(tf.where(inside, g_result, zero), tf.where(inside, g_log_det, zero))
                return tf.where(inside, g_inner, g_result), g_raw

            return (tf.where(inside, piece.result, value), tf.where(inside, piece.log_det, zero)), gradient

        return spline(value, raw)

    def _knots(self, raw: list[tf.Tensor], zero: tf.Tensor) -> list[tf.Tensor]:
        return [zero, *raw, zero]  # as in the tails

    def _numbers(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index - 1.0, index
