"""The transformer of Flow++: the distribution function of a mixture of logistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import short_of_overflow
from tfp_nvp._roots import bracketed_newton
from tfp_nvp.transformers.affine import Affine
from tfp_nvp.transformers.transformer import Transformer, flattening_short_rows


class MixtureOfLogistics(Transformer):
    """z = a(logit F(x)), F the distribution function of a mixture of k logistics, and a affine.

        F(x) = Σ πᵢ σ(uᵢ),    uᵢ = (x − μᵢ) exp(−sᵢ)
        dx/dz of logit ∘ F = F (1 − F) / Σ πᵢ σ(uᵢ) σ(−uᵢ) exp(−sᵢ)

    3 k + 2 raw numbers per element: k weights (through a softmax), k means, k log-scales, softly bounded as in
    `Affine`, and the two of `Affine`. The means are raw numbers plus offsets from −1 to 1: components that start alike
    would stay alike. Zeros give a map close to the identity.

    `inverse` is a formula. `forward` is solved by Newton's method within a bracket, which is halved where a step would
    leave it or exceed half of the previous step. logit F lies between the least and the greatest uᵢ, which gives the
    first bracket. The gradients are those of the implicit function theorem.

    Args:
      num_components: k, at least 1.
      bound: largest |s| of a component and of the affine map, positive, in nats.

    >>> mixture = MixtureOfLogistics(num_components=4)
    >>> raw = tf.ones([mixture.num_parameters, 2])
    >>> z, log_det = mixture.inverse(tf.constant([-1.0, 3.0]), raw)
    >>> x, _ = mixture.forward(z, raw)
    >>> [round(float(v), 4) for v in x]
    [-1.0, 3.0]

    References: Ho, Chen, Srinivas, Duan & Abbeel (2019), "Flow++", arXiv:1902.00275, section 3.2.
    """

    def __init__(self, *, num_components: int = 8, bound: float = 5.0):
        self.num_components = checks.integer("num_components", num_components, 1)
        self.bound = checks.positive("bound", bound)

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return 3 * self.num_components + 2

    @flattening_short_rows
    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mixture, affine = self._parts(raw)
        y, log_slope = mixture.logit_and_log_slope(x)
        z, log_det = Affine(bound=self.bound).inverse(y, affine)
        return z, log_slope + log_det

    @flattening_short_rows
    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mixture, affine = self._parts(raw)
        y, log_det = Affine(bound=self.bound).forward(z, affine)
        x = mixture.root(tf.stop_gradient(mixture.solve(y)), y)
        return x, log_det - mixture.logit_and_log_slope(x)[1]

    def _parts(self, raw: tf.Tensor) -> tuple[_Mixture, tf.Tensor]:
        """The mixture, and the raw numbers of the affine map."""
        k = self.num_components
        weights, means, log_scales = raw[:k], raw[k : 2 * k], raw[2 * k : 3 * k]
        offsets = np.linspace(-1.0, 1.0, k) if k > 1 else np.zeros(1)
        offsets = tf.reshape(tf.constant(offsets, raw.dtype), [k] + [1] * (raw.shape.rank - 1))
        mixture = _Mixture(tf.nn.log_softmax(weights, axis=0), means + offsets, self._bounded(log_scales))
        return mixture, raw[3 * k :]

    def _bounded(self, raw: tf.Tensor) -> tf.Tensor:
        return self.bound * tf.tanh(raw / self.bound)


class _Mixture:
    """Σ πᵢ σ((x − μᵢ) exp(−sᵢ)) of log π, μ and s [k, ...]."""

    def __init__(self, log_weights: tf.Tensor, means: tf.Tensor, log_scales: tf.Tensor):
        self.log_weights, self.means, self.log_scales = log_weights, means, log_scales

    def logit_and_log_slope(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """logit F(x) and log of its derivative, exact in both tails.

        log F and log (1 − F) are sums over components in the log domain. With the lesser of
        them, of components wᵢ = πᵢ σ(∓uᵢ) / Σ, the slope is Σ wᵢ σ(±uᵢ) exp(−sᵢ) / Σ πᵢ σ(±uᵢ): nothing cancels.
        """
        u = short_of_overflow((x - self.means) * tf.exp(-self.log_scales))
        log_below = self.log_weights + tf.math.log_sigmoid(u)
        log_above = self.log_weights + tf.math.log_sigmoid(-u)
        log_f, log_rest = (tf.reduce_logsumexp(terms, axis=0) for terms in (log_below, log_above))
        upper = log_f > log_rest
        log_lesser = tf.where(upper, log_above - log_rest, log_below - log_f)
        log_greater = tf.where(upper, tf.math.log_sigmoid(u), tf.math.log_sigmoid(-u))
        slope = tf.reduce_logsumexp(log_lesser + log_greater - self.log_scales, axis=0)
        return log_f - log_rest, slope - tf.where(upper, log_f, log_rest)

    def root(self, solution: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """A solution x of logit F(x) = y, as a function of y, π, μ and s of which every derivative is right.

        By the implicit function theorem, with p any of the numbers, dx = (dy − ∂p logit F dp) / (logit F)′. This
        gradient is written in terms of x as the same function, so that its own gradient is right too.
        """
        numbers = self.log_weights, self.means, self.log_scales
        most = 0.4 * np.log(np.finfo(y.dtype.as_numpy_dtype).max)  # between narrow components it may be infinite

        @tf.custom_gradient
        def root(y: tf.Tensor, *numbers: tf.Tensor) -> Any:
            def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
                x, mixture = root(y, *numbers), _Mixture(*numbers)
                with tf.GradientTape() as tape:
                    tape.watch(numbers)
                    value, log_slope = mixture.logit_and_log_slope(x)
                g_y = upstream * tf.exp(tf.minimum(-log_slope, most))
                return g_y, *tape.gradient(value, numbers, -g_y)

            return tf.identity(solution), gradient

        return root(y, *numbers)

    def solve(self, y: tf.Tensor) -> tf.Tensor:
        """The x of logit F(x) = y."""
        ends = short_of_overflow(self.means + tf.exp(self.log_scales) * y)

        def function(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            value, log_slope = self.logit_and_log_slope(x)
            return value, tf.exp(log_slope)

        return bracketed_newton(function, y, tf.reduce_min(ends, axis=0), tf.reduce_max(ends, axis=0))
