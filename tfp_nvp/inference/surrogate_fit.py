"""Fits a surrogate posterior in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tqdm import tqdm

from tfp_nvp import checks
from tfp_nvp.distributions import Flow
from tfp_nvp.inference._target import Target, as_target, flow_and_bijector
from tfp_nvp.inference._training import Losses, Schedule, train
from tfp_nvp.inference.importance import ImportanceSample, importance_sample
from tfp_nvp.inference.objectives import Objective, ReverseKL
from tfp_nvp.inference.surrogates import surrogate_posterior

tfd = tfp.distributions

#: Draws by which the fits of several seeds are compared.
_COMPARED = 4096


class SurrogateFit(NamedTuple):
    """A fitted surrogate posterior.

    Attributes:
      surrogate: the distribution, in the structure of the target's events.
      losses: of every step, in nats: −ELBO for `ReverseKL`.
      bound: a lower bound of the log-evidence, E_q[log p(x) − log q(x)] over 4,096 draws, in nats.
      left_out: share of the draws that were left out, since the target or its gradient was not finite there.
      target: what it was fitted to.
    """

    surrogate: tfd.Distribution
    losses: np.ndarray
    bound: float
    left_out: float
    target: Any

    def importance_sample(self, num_samples: int = 4000, *, seed: int = 0) -> ImportanceSample:
        """Weighted draws, with Pareto k̂ and effective sample size: is the fit good enough to be corrected?"""
        return importance_sample(self.surrogate, self.target, num_samples, seed=seed)


def fit_surrogate(
    target: Any,
    surrogate: tfd.Distribution | None = None,
    *,
    flow: Callable[..., Flow] | None = None,
    start: tfd.Distribution | Callable[..., tfd.Distribution] | None = None,
    objective: Objective | None = None,
    num_steps: int = 5000,
    sample_size: int = 128,
    learning_rate: float = 5e-3,
    anneal_from: float = 1.0,
    patience: int | None = 10,
    restarts: int = 1,
    seed: int = 0,
    jit_compile: bool = True,
    verbose: bool = False,
) -> SurrogateFit:
    """Fits a surrogate posterior to a joint distribution, or a flow to any density, by its own draws.

    Adam with gradients clipped to norm 5, and a cosine of the learning rate after a short rise. Where the mean loss of
    50 steps has not improved by more than its error for `patience` times, the rate is cut to 0.3; after three cuts the
    fit ends. The weights are those of the 50 steps with the lowest mean loss.

    Args:
      target: a pinned joint distribution, another `tfd.Distribution`, or, with a `surrogate`, a function from events
        with any batch [n] to log-densities [n], up to a constant.
      surrogate: what `surrogate_posterior` returns, or a flow over vectors [d]; it is trained further. By default
        one is made for each seed.
      flow, start: for `surrogate_posterior`, where no surrogate is given.
      objective: `ReverseKL()` by default; `ImportanceWeighted(k)` and `ForwardKL()` leave less of the mass out.
      num_steps: most steps; with XLA, the first 50 wait for its compilation.
      sample_size: draws of each step.
      learning_rate: the highest.
      anneal_from: in (0, 1]: the power of the density at the first step, which rises to 1 in the first half of
        `num_steps`; below 1 the density is flatter at first.
      patience: see above; None for all steps.
      restarts: fits with seeds `seed`, `seed` + 1, …, of which the one with the best bound is returned.
      seed: of initial weights and draws.
      jit_compile: whether XLA compiles the steps; False for densities that it can't compile.
      verbose: whether to show progress, on stderr.

    Returns:
      A `SurrogateFit`.

    Raises:
      TypeError, ValueError: for arguments out of their range, and as `surrogate_posterior`.

    >>> normal = tfd.MultivariateNormalDiag([3.0, -1.0])
    >>> fit = fit_surrogate(normal, start=normal, num_steps=50, sample_size=16, jit_compile=False)
    >>> abs(fit.bound) < 0.1
    True

    References: Blei, Kucukelbir & McAuliffe (2017), "Variational Inference: A Review for Statisticians",
    arXiv:1601.00670; Agrawal, Sheldon & Domke (2020), "Advances in Black-Box VI", arXiv:2006.10343.
    """
    objective = ReverseKL() if objective is None else objective
    checks.instance("objective", objective, Objective, "tfp_nvp.inference.ReverseKL()")
    schedule = Schedule(
        num_steps=checks.integer("num_steps", num_steps, 1),
        sample_size=checks.integer("sample_size", sample_size, 1),
        learning_rate=checks.positive("learning_rate", learning_rate),
        anneal_from=checks.number("anneal_from", anneal_from, checks.Interval(0.0, 1.0, closed="right")),
        patience=None if patience is None else checks.integer("patience", patience, 1),
        jit_compile=checks.flag("jit_compile", jit_compile),
    )
    objective.check_draws(schedule.sample_size)
    checks.flag("verbose", verbose)
    seed, restarts = checks.integer("seed", seed, 0), checks.integer("restarts", restarts, 1)
    if surrogate is not None and (flow is not None or start is not None or restarts > 1):
        raise ValueError(
            "Give either a `surrogate`, which is trained further, or `flow`, `start` and `restarts` for new ones."
        )
    density = as_target(target, like=surrogate)
    if surrogate is not None and not flow_and_bijector(surrogate)[0].trainable_variables:
        raise ValueError("The surrogate has no trainable variables, so there is nothing to fit.")
    fits = []
    for own in range(seed, seed + restarts):
        made = surrogate_posterior(density, flow=flow, start=start, seed=own) if surrogate is None else surrogate
        found = _trained(made, density, objective, schedule, own, verbose)
        fits.append(SurrogateFit(made, found.losses, _bound(made, density, own), found.left_out, target))
    return max(fits, key=lambda fit: fit.bound if np.isfinite(fit.bound) else -np.inf)


def _trained(
    surrogate: tfd.Distribution, density: Target, objective: Objective, schedule: Schedule, seed: int, verbose: bool
) -> Losses:
    """Trains a surrogate, with a progress bar."""
    with tqdm(total=schedule.num_steps, desc="compiling", disable=not verbose) as bar:

        def report(steps: int, loss: float) -> None:
            bar.set_description_str("fitting", refresh=False)
            bar.set_postfix_str(f"loss {loss:.4f} nats", refresh=False)
            bar.update(min(steps, schedule.num_steps) - bar.n)

        return train(flow_and_bijector(surrogate)[0], density, objective, schedule, tf.constant([seed, 4]), report)


def _bound(surrogate: tfd.Distribution, density: Target, seed: int) -> float:
    """E_q[log p − log q] of fresh draws; those of density zero count."""
    z, log_q = flow_and_bijector(surrogate)[0].experimental_sample_and_log_prob(_COMPARED, seed=tf.constant([seed, 5]))
    return float(np.mean(np.asarray(density.log_prob(z) - log_q, np.float64)))
