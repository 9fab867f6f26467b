"""What a surrogate posterior is fitted by: reverse KL, an importance-weighted bound, forward KL."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.distributions import Flow

#: From vectors [n, d] to their log-density [n] and its gradient [n, d].
LogProbAndSlope = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Objective(abc.ABC):
    """A loss of draws of the flow, in nats, whose gradient fits the flow to a density.

    Draws at which density or gradient are not finite are left out.
    """

    @abc.abstractmethod
    def loss(self, flow: Flow, target: LogProbAndSlope, num_draws: int, seed: Any) -> tf.Tensor:
        """An estimate of the loss: a scalar with a gradient with respect to the flow's weights."""

    def check_draws(self, num_draws: int) -> None:  # noqa: B027
        """Raises `ValueError` for a number of draws that the objective can't use; most use any."""


class ReverseKL(Objective):
    """KL(q ‖ p) = E_q[log q(z) − log p(z)], up to log Z: −ELBO. It is exact where q can be p, and seeks modes.

    With the path gradient, log q is differentiated through z alone:

        ∇ = E[(∂z/∂φ)ᵀ ∇_z (log q(z) − log p(z))]

    Its expectation is that of the whole gradient, since E_q[∂ log q / ∂φ] = 0, and it has no variance once q is p.

    Args:
      path_gradient: whether to use it. It evaluates log q(z), z → latent, as well: one pass for couplings, d steps for
        inverse autoregressive flows, for which False is faster.

    References: Roeder, Wu & Duvenaud (2017), "Sticking the Landing: Simple, Lower-Variance Gradient Estimators for
    Variational Inference", arXiv:1703.09194, section 3.
    """

    def __init__(self, *, path_gradient: bool = True):
        self.path_gradient = checks.flag("path_gradient", path_gradient)

    def loss(self, flow: Flow, target: LogProbAndSlope, num_draws: int, seed: Any) -> tf.Tensor:
        z, log_q = flow.experimental_sample_and_log_prob(num_draws, seed=seed)
        log_p, slope = target(tf.stop_gradient(z))
        if self.path_gradient:
            slope, log_q = slope - slope_of_density(flow, z), tf.stop_gradient(log_q)
        used = finite(log_p - log_q, slope)
        mean = _mean_of(used)
        return mean(log_q - log_p) - mean(pull(z, slope))


class ImportanceWeighted(Objective):
    """The bound log Z ≥ E[log (1/k) Σ w_i] of k draws each, w = p(z) / q(z). The larger k, the less of p is missed.

    Its gradient is doubly reparameterized, so it has no variance once q is p, and does not vanish for large k:

        ∇ = −E[Σ ŵ_i² (∂z_i/∂φ)ᵀ ∇_z log w(z_i)],    ŵ = w / Σ w

    Args:
      num_importance: k, at least 1; the draws of a step are split into groups of k.

    References: Burda, Grosse & Salakhutdinov (2016), "Importance Weighted Autoencoders", arXiv:1509.00519, equation 8;
    Tucker, Lawson, Gu & Maddison (2018), "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives",
    arXiv:1810.04152, equation 8.
    """

    def __init__(self, num_importance: int = 8):
        self.num_importance = checks.integer("num_importance", num_importance, 1)

    def check_draws(self, num_draws: int) -> None:
        if num_draws % self.num_importance:
            raise ValueError(
                f"`sample_size` must be a multiple of `num_importance`, {self.num_importance}; got {num_draws}."
            )

    def loss(self, flow: Flow, target: LogProbAndSlope, num_draws: int, seed: Any) -> tf.Tensor:
        z, log_q = flow.experimental_sample_and_log_prob(num_draws, seed=seed)
        log_p, slope = target(tf.stop_gradient(z))
        slope -= slope_of_density(flow, z)
        log_w = tf.stop_gradient(log_p - log_q)
        used = finite(log_w, slope)
        log_w = tf.reshape(tf.where(used, log_w, tf.fill(tf.shape(log_w), log_w.dtype.min)), [-1, self.num_importance])
        shares = tf.reshape(tf.nn.softmax(log_w, axis=-1), [-1])
        bounds = tf.reduce_logsumexp(log_w, axis=-1) - math.log(self.num_importance)
        some = tf.reduce_any(tf.reshape(used, [-1, self.num_importance]), axis=-1)
        groups = num_draws // self.num_importance
        pulled = tf.where(used, shares**2 * pull(z, slope), tf.zeros_like(shares))
        return -_mean_of(some)(bounds) - tf.reduce_sum(pulled) / groups


class ForwardKL(Objective):
    """KL(p ‖ q) up to a constant, −E_p[log q(z)], by self-normalized importance weights: q covers all mass of p.

        ∇ = −Σ ŵ_i ∇ log q(z_i),    z ~ q,    ŵ = w / Σ w,    w = p(z) / q(z)

    The weights of a start far from p are those of one draw; anneal, or begin by `ReverseKL`.

    References: Bornschein & Bengio (2015), "Reweighted Wake-Sleep", arXiv:1406.2751, equation 9; Naesseth, Lindsten &
    Blei (2020), "Markovian Score Climbing", arXiv:2003.10374, section 2.
    """

    def loss(self, flow: Flow, target: LogProbAndSlope, num_draws: int, seed: Any) -> tf.Tensor:
        z = tf.stop_gradient(flow.sample(num_draws, seed=seed))
        log_q = flow.log_prob(z)
        log_w = tf.stop_gradient(target(z)[0] - log_q)
        used = finite(log_w, z)
        log_w = tf.where(used, log_w, tf.fill(tf.shape(log_w), log_w.dtype.min))
        shares = tf.where(used, tf.nn.softmax(log_w), tf.zeros_like(log_w))
        return -tf.reduce_sum(shares * tf.where(used, log_q, tf.zeros_like(log_q)))


def slope_of_density(flow: Flow, z: tf.Tensor) -> tf.Tensor:
    """∇_z log q(z), a constant of the weights: [n, d] → [n, d]."""
    z = tf.stop_gradient(z)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(z)
        log_q = flow.log_prob(z)
    return tf.stop_gradient(tape.gradient(log_q, z))


def pull(z: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """Zeros [n] whose gradients with respect to the weights are (∂z/∂φ)ᵀ slope."""
    slope = tf.where(tf.math.is_finite(slope), slope, tf.zeros_like(slope))
    return tf.reduce_sum(tf.stop_gradient(slope) * (z - tf.stop_gradient(z)), axis=-1)


def finite(log_w: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
    """Which draws have a finite weight and finite elements: [n], [n, d] → booleans [n]."""
    return tf.math.is_finite(log_w) & tf.reduce_all(tf.math.is_finite(vectors), axis=-1)


def _mean_of(used: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """The mean over the entries that are used; 0 of none."""

    def mean(values: tf.Tensor) -> tf.Tensor:
        count = tf.cast(tf.math.count_nonzero(used), values.dtype)
        return tf.reduce_sum(tf.where(used, values, tf.zeros_like(values))) / tf.maximum(count, 1.0)

    return mean
