"""A transition kernel of TensorFlow Probability that moves in the latent space of a flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.inference._target import as_target, flow_and_bijector

tfd = tfp.distributions

#: From a log-density of states to a kernel.
MakeKernel = Callable[[Callable[[tf.Tensor], tf.Tensor]], tfp.mcmc.TransitionKernel]


def neutra(surrogate: Any, target: Any, *, kernel: MakeKernel | None = None) -> tfp.mcmc.TransformedTransitionKernel:
    """A kernel whose proposals are made in the latent space of a flow, where the target is close to a normal.

        log p(ε) = log p(z) + log |det ∂z/∂ε|,    z = g(ε)

    States are the vectors z [chains, d] that the flow is over; for a joint distribution, all parts of its events mapped
    to all real numbers. What the flow has missed, the kernel's acceptance corrects.

    Args:
      surrogate: a fitted one of `surrogate_posterior`, or a flow over vectors [d].
      target: the pinned joint distribution, another `tfd.Distribution`, or a function from events to log-densities.
      kernel: a function from log-densities of states to a kernel; by default the No-U-Turn sampler with a step of 0.5.

    Returns:
      A `tfp.mcmc.TransformedTransitionKernel`, for `tfp.mcmc.sample_chain`, step size adaptations and replica exchange.

    Raises:
      TypeError: for another surrogate, target or kernel.

    >>> import tfp_nvp as nvp
    >>> flow = nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0)
    >>> through = neutra(flow, lambda z: -tf.reduce_sum(z**2, axis=-1))
    >>> tfp.mcmc.sample_chain(3, tf.zeros([4, 2]), kernel=through, trace_fn=None, seed=tf.constant([0, 1])).shape
    TensorShape([3, 4, 2])

    References: Hoffman, Sountsov, Dillon, Langmore, Tran & Vasudevan (2019), "NeuTra-lizing Bad Geometry in Hamiltonian
    Monte Carlo Using Neural Transport", arXiv:1903.03704, section 3.
    """
    density, flow = as_target(target, like=surrogate), flow_and_bijector(surrogate)[0]
    checks.instance("surrogate", flow, tfd.TransformedDistribution, "tfp_nvp.inference.fit_surrogate(target).surrogate")
    return tfp.mcmc.TransformedTransitionKernel(kernel_of(density.one_pass, kernel), flow.bijector)


def kernel_of(log_density: Callable[[tf.Tensor], tf.Tensor], kernel: MakeKernel | None) -> tfp.mcmc.TransitionKernel:
    """The kernel that a function makes of a log-density; the No-U-Turn sampler for None."""
    if kernel is None:
        return tfp.mcmc.NoUTurnSampler(log_density, step_size=0.5)
    example = "lambda density: tfp.mcmc.HamiltonianMonteCarlo(density, step_size=0.5, num_leapfrog_steps=4)"
    if not callable(kernel):
        raise TypeError(f"`kernel` must be a function from a log-density to a kernel, such as {example}.")
    return checks.instance("kernel(log_density)", kernel(log_density), tfp.mcmc.TransitionKernel, example)
