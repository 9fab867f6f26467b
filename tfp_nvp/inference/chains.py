"""Markov chains, with what says whether they have converged."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import unnest

from tfp_nvp import checks
from tfp_nvp._warnings import warn
from tfp_nvp.inference._neutra import MakeKernel, kernel_of, neutra
from tfp_nvp.inference._target import Target, as_target, flow_and_bijector

tfd = tfp.distributions

#: Share of the warm-up in which the step size adapts; the rest is spent at the step size of the draws.
_ADAPTING = 0.8


@dataclasses.dataclass(frozen=True)
class Chains:
    """Draws of many chains.

    Attributes:
      events: in the structure of the target's events, [chains, draws, ...] each.
      vectors: the same on all real numbers, [chains, draws, d], as `evidence` takes them.
      log_accept_ratio: [chains, draws], in nats; NaN if the kernel does not know it.
      diverging: booleans [chains, draws]: the energy of a trajectory went astray, near it the target is too curved.
      num_gradients: evaluations of the gradient of all chains after the warm-up; NaN if the kernel does not count them.
      step_size: after the warm-up; NaN for a kernel without one.
    """

    events: Any
    vectors: np.ndarray
    log_accept_ratio: np.ndarray
    diverging: np.ndarray
    num_gradients: float
    step_size: float

    @property
    def acceptance(self) -> float:
        """The mean acceptance probability."""
        return float(np.mean(np.exp(np.minimum(self.log_accept_ratio, 0.0))))

    @functools.cached_property
    def r_hat(self) -> Any:
        """R̂ of every element, in the structure of the events: 1 once all chains have the same distribution.

        It is that of halves of chains, of normal scores of ranks, so heavy tails do not spoil it.

        References: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), "Rank-Normalization, Folding, and
        Localization: An Improved R̂", arXiv:1903.08008, section 4.
        """
        return self._of_scores(
            lambda x: tfp.mcmc.potential_scale_reduction(x, independent_chain_ndims=1, split_chains=True)
        )

    @functools.cached_property
    def ess(self) -> Any:
        """Effective number of draws of every element, of all chains together, in the structure of the events.

        It is that of the mean of normal scores of ranks, "bulk ESS".

        References: as `r_hat`, equation 10 and section 4.
        """
        return self._of_scores(
            lambda x: tfp.mcmc.effective_sample_size(x, filter_beyond_positive_pairs=True, cross_chain_dims=1)
        )

    @property
    def worst_r_hat(self) -> float:
        """The largest R̂."""
        return float(max(np.max(part) for part in tf.nest.flatten(self.r_hat)))

    @property
    def least_ess(self) -> float:
        """The smallest effective number of draws."""
        return float(min(np.min(part) for part in tf.nest.flatten(self.ess)))

    def to_arviz(self) -> Any:
        """The draws as ArviZ has them.

        Raises:
          ImportError: if ArviZ is not installed.
        """
        try:
            import arviz
        except ImportError as error:
            raise ImportError("`to_arviz` needs ArviZ: pip install arviz.") from error
        parts = tf.nest.map_structure(np.asarray, _by_name(self.events))
        statistics = {"diverging": self.diverging, "acceptance_rate": np.exp(np.minimum(self.log_accept_ratio, 0.0))}
        if hasattr(arviz, "InferenceData"):  # ArviZ below 1.0
            return arviz.from_dict(posterior=parts, sample_stats=statistics)
        return arviz.from_dict({"posterior": parts, "sample_stats": statistics})

    def _of_scores(self, statistic: Any) -> Any:
        def of_part(part: tf.Tensor) -> np.ndarray:
            draws_first = np.swapaxes(np.asarray(part, np.float64), 0, 1)
            return np.asarray(statistic(tf.constant(normal_scores(draws_first))))

        return tf.nest.map_structure(of_part, self.events)


def normal_scores(draws: np.ndarray) -> np.ndarray:
    """Quantiles of the standard normal at the ranks of every element among all draws of all chains [n, chains, ...]."""
    columns = draws.reshape(draws.shape[0] * draws.shape[1], -1)
    scores = np.empty_like(columns)
    for i, column in enumerate(columns.T):
        _, places, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[places]  # equal draws have the mean of their ranks
        scores[:, i] = tf.math.ndtri(tf.constant((ranks - 0.375) / (len(column) + 0.25)))
    return scores.reshape(draws.shape)


def sample_chains(
    target: Any,
    surrogate: Any = None,
    *,
    kernel: MakeKernel | None = None,
    num_chains: int = 8,
    num_samples: int = 1000,
    num_warmup: int = 500,
    target_accept: float = 0.8,
    seed: int = 0,
    jit_compile: bool = True,
) -> Chains:
    """Runs many chains through a flow, and returns draws of the target.

    The chains start from the surrogate's own draws. In the first 0.8 of the warm-up one step size of all chains is
    adapted to the acceptance, by dual averaging; then it stays, and so the chains are exact.

    Args:
      target: a pinned joint distribution, another `tfd.Distribution`, or, with a surrogate, a function from events with
        any batch to log-densities.
      surrogate: a fitted surrogate posterior, or a flow over vectors; None for chains without a flow, which move on all
        real numbers and start uniformly within [−2, 2].
      kernel: as for `neutra`: NUTS by default.
      num_chains: at least 2, for R̂.
      num_samples: draws of each chain, at least 4.
      num_warmup: steps of each chain that are thrown away.
      target_accept: the acceptance probability that the step size is adapted to, in (0, 1).
      seed: of starts and chains.
      jit_compile: whether XLA compiles the chains.

    Returns:
      A `Chains`.

    Raises:
      TypeError, ValueError: for arguments out of their range; if the target is not finite where the chains start, or no
        chain ever moved.

    References: Hoffman et al. (2019), arXiv:1903.03704; Hoffman & Gelman (2014), "The No-U-Turn Sampler",
    arXiv:1111.4246, algorithms 5 and 6.
    """
    num_chains, num_samples = checks.integer("num_chains", num_chains, 2), checks.integer("num_samples", num_samples, 4)
    num_warmup = checks.integer("num_warmup", num_warmup, 0)
    target_accept = checks.number("target_accept", target_accept, checks.INNER_FRACTION)
    density = as_target(target, like=surrogate)
    start = starts(density, surrogate, num_chains, seed)
    run = chain_function(
        density,
        surrogate,
        kernel=kernel,
        num_samples=num_samples,
        num_warmup=num_warmup,
        target_accept=target_accept,
        jit_compile=checks.flag("jit_compile", jit_compile),
    )
    draws, trace = run(start, tf.constant([seed, 7]))
    return chains_of(density, draws, trace)


def chain_function(
    density: Target,
    surrogate: Any,
    *,
    kernel: MakeKernel | None,
    num_samples: int,
    num_warmup: int,
    target_accept: float,
    jit_compile: bool,
) -> Callable[[tf.Tensor, tf.Tensor], Any]:
    """The graph of all chains: (states [chains, d], seed [2]) → draws [n, chains, d] and what is traced of each."""
    inner = kernel_of(density.one_pass, kernel) if surrogate is None else neutra(surrogate, density, kernel=kernel)
    has_step = "step_size" in _innermost(inner).parameters
    adapting = int(_ADAPTING * num_warmup)
    if has_step and adapting:
        inner = tfp.mcmc.DualAveragingStepSizeAdaptation(inner, adapting, target_accept_prob=target_accept)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(start: tf.Tensor, seed: tf.Tensor) -> Any:
        return tfp.mcmc.sample_chain(
            num_samples,
            start,
            kernel=inner,
            num_burnin_steps=num_warmup,
            trace_fn=functools.partial(_traced, has_step),
            seed=seed,
        )

    return run


def starts(density: Target, surrogate: Any, num_chains: int, seed: int) -> tf.Tensor:
    """States [chains, d] of finite density."""
    pair = tf.constant([seed, 8])
    if surrogate is None:
        start = tf.random.stateless_uniform([num_chains, density.size], pair, -2.0, 2.0, density.dtype)
    else:
        start = flow_and_bijector(surrogate)[0].sample(num_chains, seed=pair)
    if bad := int((~np.isfinite(density.log_prob(start))).sum()):
        raise ValueError(
            f"The target's log-density is NaN or infinite where {bad} of {num_chains} chains start. "
            "Check the target, or fit the surrogate to it first."
        )
    return start


def _traced(has_step: bool, _: tf.Tensor, results: Any) -> dict[str, tf.Tensor]:
    """What is kept of the results of a kernel, whatever it is made of."""
    known = functools.partial(unnest.get_innermost, results)
    kept = {
        "log_accept_ratio": known("log_accept_ratio", default=np.nan),
        "diverging": known("has_divergence", default=False),
        "leapfrogs": known("leapfrogs_taken", default=known("num_leapfrog_steps", default=np.nan)),
        "step_size": known("step_size", default=np.nan) if has_step else np.nan,
    }
    return {name: tf.convert_to_tensor(value) for name, value in kept.items()}


def chains_of(density: Target, draws: tf.Tensor, trace: dict[str, tf.Tensor]) -> Chains:
    """The result, from draws [n, chains, d], with a warning for chains that do not move."""
    vectors = np.swapaxes(np.asarray(draws), 0, 1)
    num_chains, num_samples = vectors.shape[:2]
    still = np.flatnonzero((vectors == vectors[:, :1]).all(axis=(1, 2)))
    if len(still) == num_chains:
        raise ValueError(
            "No chain ever moved: every proposal was rejected. Give a smaller step size, a longer warm-up, or a "
            "surrogate that is closer to the target."
        )
    if len(still):
        warn(f"{len(still)} of {num_chains} chains never moved, so R̂ is large and they count for nothing: {still[:5]}.")

    def of_chains(values: tf.Tensor) -> np.ndarray:
        return np.broadcast_to(np.reshape(values, [num_samples, -1]).T, [num_chains, num_samples])

    return Chains(
        events=density.events(tf.constant(vectors)),
        vectors=vectors,
        log_accept_ratio=of_chains(trace["log_accept_ratio"]),
        diverging=of_chains(trace["diverging"]),
        num_gradients=float(of_chains(trace["leapfrogs"]).sum()),
        step_size=float(np.reshape(trace["step_size"], [num_samples, -1])[-1, 0]),
    )


def _innermost(kernel: tfp.mcmc.TransitionKernel) -> tfp.mcmc.TransitionKernel:
    """The kernel within adaptations and transformations."""
    while "step_size" not in kernel.parameters and hasattr(kernel, "inner_kernel"):
        kernel = kernel.inner_kernel
    return kernel


def _by_name(events: Any) -> dict[str, Any]:
    """The parts of events by name, for ArviZ."""
    if hasattr(events, "_asdict"):
        return dict(events._asdict())
    if isinstance(events, dict):
        return dict(events)
    parts = list(events) if isinstance(events, (list, tuple)) else [events]
    return {f"x{i}" if len(parts) > 1 else "x": part for i, part in enumerate(parts)}
