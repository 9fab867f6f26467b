"""A flow in the structure of a joint distribution."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import ActNorm, Bijector, Chain, PrincipalAxes
from tfp_nvp.distributions import Flow
from tfp_nvp.flows import NeuralSplineFlow, RealNVP
from tfp_nvp.inference._target import Target, as_target
from tfp_nvp.inference.starts import best_start

tfb, tfd = tfp.bijectors, tfp.distributions

#: Draws by which the flow's data-dependent layers are initialized, in pairs around the mean.
_PAIRS = 1024


def surrogate_posterior(
    target: Any,
    *,
    flow: Callable[..., Flow] | None = None,
    start: tfd.Distribution | Callable[..., tfd.Distribution] | None = None,
    bijector: tfb.Bijector | None = None,
    seed: int = 0,
) -> tfd.Distribution:
    """A trainable distribution of the events of a joint distribution, with a flow in it.

        x = bijector(z),    z = m + L g(ε),    ε ~ N(0, I)

    z is the vector [d] of all parts of an event, mapped to all real numbers; m and L are the mean and the Cholesky
    factor of a Gaussian start, and g is a flow that starts as the identity. It is a `tfd.TransformedDistribution`: its
    `distribution` is the flow over z, for `nvp.export`, and its `bijector` gives z the structure of the events.

    Args:
      target: a joint distribution with its observations pinned, `joint.experimental_pin(...)`, or any other
        `tfd.Distribution` of real numbers. Its density takes a batch of events.
      flow: a recipe, called as `flow([d], seed=seed, dtype=dtype)`; by default a `RealNVP` of six layers, for d = 1 a
        `NeuralSplineFlow`.
      start: a Gaussian over z, or a function that makes one, `start(target, seed=seed)`: `laplace_start`,
        `diagonal_start`; by default the one of these with the higher bound, `best_start`.
      bijector: from unconstrained parts to the events; by default the target's own.
      seed: of initial weights and of the start.

    Returns:
      A distribution whose trainable variables `tfp.vi.fit_surrogate_posterior` and `fit_surrogate` fit.

    Raises:
      TypeError: for another target, flow or start.
      ValueError: for events that can't be mapped to a vector, a density of a wrong shape, or one that is not finite.

    >>> from tfp_nvp.inference import laplace_start
    >>> joint = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), lambda m: tfd.Normal(m, 1.0)])
    >>> surrogate = surrogate_posterior(joint.experimental_pin(None, 2.0), start=laplace_start)
    >>> surrogate.sample(3, seed=0)[0].shape
    TensorShape([3])

    References: Rezende & Mohamed (2015), "Variational Inference with Normalizing Flows", arXiv:1505.05770.
    """
    target = as_target(target, bijector=bijector)
    seed = checks.integer("seed", seed, 0)
    gaussian = _gaussian(best_start if start is None else start, target, seed)
    made = (_default if flow is None else flow)([target.size], seed=seed, dtype=target.dtype)
    checks.instance("flow", made, Flow, "functools.partial(tfp_nvp.IAF, num_layers=4)")
    if made.event_shape != [target.size] or made.dtype != target.dtype:
        raise ValueError(
            f"`flow` must make a flow of events [{target.size}] in {target.dtype.name}; "
            f"got {made.event_shape} in {made.dtype.name}."
        )
    affine = _affine(gaussian, target)
    moved = Flow(made.distribution, Chain([*affine, made.bijector]), recipe=made.recipe(), name="surrogate_flow")
    if not moved.is_initialized:
        moved.initialize(_whitened(affine, target, seed))
    if target.bijector is None:
        return moved
    return tfd.TransformedDistribution(moved, target.bijector, name="surrogate_posterior")


def _default(event_shape: list[int], *, seed: int, dtype: tf.DType) -> Flow:
    """Couplings have densities and draws in one pass each, as path gradients need; a single number gets a spline."""
    if event_shape == [1]:
        return NeuralSplineFlow(event_shape, num_layers=2, seed=seed, dtype=dtype)
    return partial(RealNVP, num_layers=6, hidden_units=[64, 64], activation="tanh")(event_shape, seed=seed, dtype=dtype)


def _gaussian(start: Any, target: Target, seed: int) -> tfd.Distribution:
    """The start as a Gaussian, checked."""
    gaussian = start if isinstance(start, tfd.Distribution) or not callable(start) else start(target, seed=seed)
    checks.instance("start", gaussian, tfd.Distribution, "tfp_nvp.inference.laplace_start")
    if gaussian.event_shape != [target.size] or gaussian.dtype != target.dtype:
        raise ValueError(
            f"`start` must be over vectors [{target.size}] in {target.dtype.name}; "
            f"it is over {gaussian.event_shape} in {gaussian.dtype.name}."
        )
    density = np.asarray(target.log_prob(gaussian.sample(100, seed=tf.constant([seed, 3]))))
    if bad := int((~np.isfinite(density)).sum()):
        raise ValueError(
            f"The target is not finite at {bad} of 100 draws of the start"
            f"{': it is NaN there' if np.isnan(density).any() else ''}. Check its density, or give another `start`."
        )
    return gaussian


def _affine(gaussian: tfd.Distribution, target: Target) -> list[Bijector]:
    """The fixed layers z = m + s · V √D ε of a Gaussian of deviations s and correlations V D Vᵀ.

    They are products in both directions; a Cholesky factor would be a triangular system in one.
    """
    covariance = np.asarray(gaussian.covariance(), np.float64)
    deviations = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(deviations, deviations))
    axes = PrincipalAxes([target.size], dtype=target.dtype)
    axes.shift.assign(tf.cast(gaussian.mean(), target.dtype))
    axes.log_scale.assign(tf.cast(np.log(deviations), target.dtype))
    axes.axes.assign(tf.cast(vectors, target.dtype))
    scales = ActNorm([target.size], trainable=False, dtype=target.dtype, name="scales")
    scales.log_scale.assign(tf.cast(0.5 * np.log(values), target.dtype))
    for layer in (axes, scales):
        layer.initialized.assign(1.0)
    return [axes, scales]


def _whitened(affine: list[Bijector], target: Target, seed: int) -> tf.Tensor:
    """Draws of the Gaussian that have exactly its mean and latent variances, so that layers start without noise."""
    z = np.random.default_rng(seed).normal(size=[_PAIRS, target.size])
    z /= np.sqrt(np.mean(z**2, axis=0))
    z = tf.constant(np.concatenate([z, -z]), target.dtype)
    for layer in reversed(affine):
        z = layer.forward(z)
    return z
