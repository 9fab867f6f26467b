"""Posteriors of simulators whose likelihood is not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._warnings import warn
from tfp_nvp.training import FlowModel, fit

tfd = tfp.distributions

#: Rows that `nvp.fit` needs.
_LEAST_ROWS = 20
#: Draws of a posterior by which its region of highest density is found, and of the prior in one batch of proposals.
_DRAWS = 10_000
#: Batches of proposals, after which the region is held to be too small a part of the prior.
_MOST_BATCHES = 1000


class NLE:
    """A likelihood p(x | θ) that is learned from simulations, with a prior in front of it.

    Args:
      prior: of θ [d], from which the simulations' parameters need not have come.
      theta: parameters of the simulations [n, d].
      x: what was simulated [n, k]. Simulations that failed, with NaN or infinities, are left out.
      options: of `nvp.fit`.

    Attributes:
      model: the fitted `FlowModel` of x given θ.

    Raises:
      TypeError, ValueError: as `nvp.fit`; if fewer than 20 simulations are left.

    References: Papamakarios, Sterratt & Murray (2019), "Sequential Neural Likelihood", arXiv:1805.07226, section 2.
    """

    def __init__(self, prior: tfd.Distribution, theta: Any, x: Any, **options: Any):
        self.prior = checks.instance("prior", prior, tfd.Distribution, "tfd.Sample(tfd.Normal(0.0, 1.0), 2)")
        theta, x = without_failed(theta, x)
        self.model: FlowModel = fit(x, condition=theta, **options)

    def posterior(self, observed: Any) -> Any:
        """The posterior of θ as a pinned joint distribution: for `fit_surrogate`, `sample_chains` and `evidence`.

            log p(θ | x₁, …, x_m) = log p(θ) + Σ log p(x_i | θ) + const.

        Args:
          observed: one observation [k], or independent ones of the same θ, [m, k].
        """
        observed = np.asarray(checks.numbers_array("observed", observed), self.model.dtype)
        size = self.model.distribution.event_shape[0]
        if observed.ndim not in (1, 2) or observed.shape[-1] != size:
            raise ValueError(f"`observed` must be [{size}] or [m, {size}]; its shape is {list(observed.shape)}.")
        rows = observed[np.newaxis] if observed.ndim == 1 else observed

        def likelihood(theta: tf.Tensor) -> tfd.Distribution:
            one = self.model.given(tf.cast(theta, self.model.dtype)[..., tf.newaxis, :])
            return tfd.Independent(tfd.BatchBroadcast(one, [len(rows)]), 1)

        return tfd.JointDistributionNamed({"theta": self.prior, "x": likelihood}).experimental_pin(x=rows)


def tsnpe(
    prior: tfd.Distribution,
    simulator: Callable[[np.ndarray], Any],
    observed: Any,
    *,
    num_simulations: int = 1000,
    num_rounds: int = 4,
    epsilon: float = 1e-4,
    seed: int = 0,
    **options: Any,
) -> FlowModel:
    """Fits p(θ | x) in rounds, each of which simulates where the last one's posterior of an observation has its mass.

    Parameters come from the prior, truncated to the region of highest density 1 − ε of q(θ | observed). The rows of all
    rounds are fitted together: within the last region they are proportional to the prior, so no correction is needed.

    Args:
      prior: of θ [d].
      simulator: from θ [n, d] to x [n, k]; rows that failed are NaN, and are left out.
      observed: x [k].
      num_simulations: of each round.
      num_rounds: at least 1; one round is `nvp.fit(theta, condition=x)`.
      epsilon: mass that the truncation gives up, in (0, 1).
      seed: of draws and fits.
      options: of `nvp.fit`, such as the prior's bounds as `support=`.

    Returns:
      The `FlowModel` of the last round, for this observation alone.

    Raises:
      ValueError: if too few simulations succeed, or the region is less than about 10⁻⁷ of the prior.

    References: Deistler, Gonçalves & Macke (2022), "Truncated Proposals for Scalable and Hassle-Free Simulation-Based
    Inference", arXiv:2210.04815, algorithm 1.
    """
    checks.instance("prior", prior, tfd.Distribution, "tfd.Sample(tfd.Normal(0.0, 1.0), 2)")
    checks.integer("num_simulations", num_simulations, _LEAST_ROWS)
    epsilon = checks.number("epsilon", epsilon, checks.INNER_FRACTION)
    thetas, xs, model = [], [], None
    for number in range(checks.integer("num_rounds", num_rounds, 1)):
        theta = truncated(prior, model, observed, num_simulations, epsilon, seed + 1000 * number)
        x = checks.numbers_array("simulator(theta)", simulator(theta))
        if len(x) != len(theta):
            raise ValueError(f"`simulator` must give a row for each of {len(theta)} parameters; it gave {len(x)}.")
        theta, x = without_failed(theta, x.reshape(len(x), -1))
        thetas.append(theta)
        xs.append(x)
        model = fit(np.concatenate(thetas), condition=np.concatenate(xs), seed=seed + number, **options)
    assert model is not None
    return model


def truncated(
    prior: tfd.Distribution, model: FlowModel | None, observed: Any, count: int, epsilon: float, seed: int
) -> np.ndarray:
    """Draws of the prior within the model's region of highest density 1 − ε; of all of it without a model."""
    if model is None:
        return np.asarray(prior.sample(count, seed=tf.constant([seed, 0])))
    draws = model.sample(_DRAWS, condition=observed, seed=seed)
    limit = np.quantile(np.asarray(model.log_prob(draws, condition=observed)), epsilon)
    kept: list[np.ndarray] = []
    for batch in range(_MOST_BATCHES):
        theta = np.asarray(prior.sample(_DRAWS, seed=tf.constant([seed, batch + 1])))
        kept.append(theta[np.asarray(model.log_prob(theta, condition=observed)) >= limit])
        if sum(map(len, kept)) >= count:
            return np.concatenate(kept)[:count]
    raise ValueError(
        f"The posterior's region is too small a part of the prior: {sum(map(len, kept))} of "
        f"{_MOST_BATCHES * _DRAWS} draws of the prior are in it. Use fewer rounds."
    )


def without_failed(theta: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Parameters and simulations without the failed ones, of which a warning tells.

    Raises:
      ValueError: for other numbers of rows, or if fewer than 20 are left.
    """
    theta, x = np.asarray(theta), np.asarray(x)
    if theta.ndim != 2 or x.ndim != 2 or len(theta) != len(x):
        raise ValueError(f"`theta` and `x` must be [n, d] and [n, k]; got {list(theta.shape)} and {list(x.shape)}.")
    succeeded = np.isfinite(x).all(axis=-1)
    failed = int((~succeeded).sum())
    if len(x) - failed < _LEAST_ROWS:
        raise ValueError(
            f"{failed} of {len(x)} simulations failed (NaN or infinite); at least {_LEAST_ROWS} must be left."
        )
    if failed:
        warn(
            f"{failed} of {len(x)} simulations failed (NaN or infinite) and are left out: the result is given that a "
            "simulation succeeds. Narrow the prior to where they do, or have the simulator return what a failure shows."
        )
    return theta[succeeded], x[succeeded]
