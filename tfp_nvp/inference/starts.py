"""Gaussians that a surrogate posterior can start from."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp._warnings import warn
from tfp_nvp.bijectors import ActNorm, Chain
from tfp_nvp.distributions import Flow, StandardNormal
from tfp_nvp.inference._target import Target, as_target
from tfp_nvp.inference._training import Schedule, train
from tfp_nvp.inference.objectives import ReverseKL

tfd = tfp.distributions

#: A step of the difference of gradients, relative to the size of an element: the cube root of float32's spacing.
_STEP = 5e-3
#: Deviations of a Gaussian start, at least and at most.
_NARROWEST, _WIDEST = 1e-4, 1e3
#: Draws by which two starts are compared.
_COMPARED = 1000


def laplace_start(target: Any, *, seed: int = 0) -> tfd.Distribution:
    """The Gaussian around the mode of a density, with its curvature: N(m, H⁻¹), H = −∇² log p(m).

    The mode is found by L-BFGS from zero, the curvature by differences of gradients. Along directions in which the
    density is not concave at the point that was found, the deviation is 1.

    Args:
      target: a pinned joint distribution, or any other `tfd.Distribution`.
      seed: not used; starts have one signature.

    Returns:
      A `tfd.MultivariateNormalTriL` over unconstrained vectors [d], in the target's dtype.
    """
    target = as_target(target)
    # A graph of its own, which the line search of L-BFGS calls in many places and does not trace in each.
    density = tf.function(target.log_prob_and_slope, autograph=False)

    @tf.function(autograph=False)
    def mode(start: tf.Tensor) -> tf.Tensor:
        def negative(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            log_prob, slope = density(z[tf.newaxis])
            return -log_prob[0], -slope[0]

        return tfp.optimizer.lbfgs_minimize(negative, start, max_iterations=200, tolerance=1e-4).position

    found = mode(tf.zeros([target.size], target.dtype))
    found = tf.where(tf.math.is_finite(found), found, tf.zeros_like(found))
    steps = tf.linalg.diag(_STEP * tf.maximum(tf.abs(found), 1.0))
    changes = density(found + steps)[1] - density(found - steps)[1]
    curvature = -np.asarray(changes / (2.0 * tf.linalg.diag_part(steps)[:, tf.newaxis]), np.float64)
    return _gaussian(np.asarray(found, np.float64), _inverse(np.nan_to_num(curvature, posinf=0.0, neginf=0.0)), target)


def diagonal_start(target: Any, *, seed: int = 0) -> tfd.Distribution:
    """The Gaussian of independent elements of the smallest reverse KL, by 500 steps of 64 draws.

    Args:
      target: as for `laplace_start`.
      seed: of the draws.

    Returns:
      A `tfd.MultivariateNormalTriL` over unconstrained vectors [d], in the target's dtype.

    References: Kucukelbir, Tran, Ranganath, Gelman & Blei (2017), "Automatic Differentiation Variational Inference",
    arXiv:1603.00788, section 2.4.
    """
    target = as_target(target)
    layer = ActNorm([target.size], dtype=target.dtype)
    flow = Flow(StandardNormal([target.size], dtype=target.dtype), Chain([layer]))
    schedule = Schedule(500, 64, 0.05, jit_compile=False)
    train(flow, target, ReverseKL(), schedule, tf.constant([seed, 1]))
    scale = np.exp(np.asarray(layer.log_scale, np.float64))
    return _gaussian(np.asarray(layer.shift, np.float64), np.diag(scale**2), target)


def best_start(target: Any, *, seed: int = 0) -> tfd.Distribution:
    """That of `laplace_start` and `diagonal_start` with the higher lower bound of the evidence.

    Args:
      target: as for `laplace_start`.
      seed: of the draws.

    Raises:
      ValueError: if the density is not finite at any draw of either.
    """
    target = as_target(target)
    starts = [laplace_start(target)]
    try:
        starts.append(diagonal_start(target, seed=seed))
    except ValueError as error:  # no draw of the standard normal has a finite density
        warn(f"The diagonal start failed: {error}")
    bounds = [_bound(start, target, seed) for start in starts]
    if not np.isfinite(bounds).any():
        raise ValueError(
            "The target is not finite at draws of a Gaussian start: NaN or infinite. "
            "Check its density, or give a `start` where it has one."
        )
    return starts[int(np.nanargmax(bounds))]


def _bound(start: tfd.Distribution, target: Target, seed: int) -> float:
    """The lower bound E_q[log p(z) − log q(z)] of the log-evidence; −inf where a draw has no finite density."""
    z = start.sample(_COMPARED, seed=tf.constant([seed, 2]))
    gaps = np.asarray(target.log_prob(z) - start.log_prob(z), np.float64)
    return float(gaps.mean()) if np.isfinite(gaps).all() else -np.inf


def _inverse(curvature: np.ndarray) -> np.ndarray:
    """The covariance of a curvature, with deviation 1 along directions in which it is not positive."""
    values, axes = np.linalg.eigh((curvature + curvature.T) / 2.0)
    deviations = np.where(values > 0.0, np.abs(np.where(values == 0.0, 1.0, values)) ** -0.5, 1.0)
    return (axes * np.clip(deviations, _NARROWEST, _WIDEST) ** 2) @ axes.T


def _gaussian(mean: np.ndarray, covariance: np.ndarray, target: Target) -> tfd.Distribution:
    dtype = target.dtype.as_numpy_dtype
    return tfd.MultivariateNormalTriL(mean.astype(dtype), np.linalg.cholesky(covariance).astype(dtype))
