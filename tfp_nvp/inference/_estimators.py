"""Estimators of a normalizing constant from log-ratios of densities."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.inference._psis import pareto_smoothed
from tfp_nvp.inference.importance import log_mean

#: Iterations of the bridge, which contracts quickly, and the change at which it ends.
_MOST_ITERATIONS, _SETTLED = 1000, 1e-10


class Estimate(NamedTuple):
    """log Z and its standard error, in nats.

    Attributes:
      value: log Z.
      error: by the delta method, the relative error of Z.
      k_hat: Pareto k̂ of the weights that are averaged; above 0.7 the value, and its error all the more, are not to be
        trusted. NaN for the bridge, whose weights are bounded.
    """

    value: float
    error: float
    k_hat: float = math.nan


def importance(log_ratios: np.ndarray) -> Estimate:
    """log of the mean of w = p̃(x) / q(x) over draws x of q."""
    return Estimate(*log_mean(log_ratios), pareto_smoothed(log_ratios)[1])


def harmonic(log_ratios: np.ndarray) -> Estimate:
    """−log of the mean of φ(x) / p̃(x) over draws x of the posterior, for a normalized φ that lies within it.

        1 / Z = E_p[φ(x) / p̃(x)]

    Args:
      log_ratios: log p̃(x) − log φ(x) [chains, n].
    """
    inverse = np.exp(log_ratios.min() - log_ratios)
    share = efficiency(inverse)
    value, error = log_mean(-log_ratios.ravel(), share)
    return Estimate(-value, error, pareto_smoothed(-log_ratios.ravel(), share)[1])


def bridge(at_posterior: np.ndarray, at_draws: np.ndarray) -> Estimate:
    """log Z by the optimal bridge between q and p = p̃ / Z.

        Z = mean_q[w / (s w + (1 − s) Z)] / mean_p[1 / (s w + (1 − s) Z)],    w = p̃ / q,    s = n_p / (n_p + n_q)

    It is iterated to its fixed point; n_p counts effective draws. The relative error has a term for each mean:

        Var_q[f] / (n_q E_q[f]²) + Var_p[g] / (n_p E_p[g]²),    f = p / (s p + (1 − s) q),    g = q / (s p + (1 − s) q)

    Args:
      at_posterior: log w of draws of the posterior [chains, n].
      at_draws: log w of draws of q [m].

    References: Meng & Wong (1996), equation 4.1; Frühwirth-Schnatter (2004), equation 22.
    """
    share = efficiency(at_posterior)
    count_p, count_q = share * at_posterior.size, len(at_draws)
    log_s, log_rest = math.log(count_p / (count_p + count_q)), math.log(count_q / (count_p + count_q))
    log_z, settled = float(np.median(at_posterior)), False
    for _ in range(_MOST_ITERATIONS):
        bottom_q = np.logaddexp(log_s + at_draws, log_rest + log_z)
        bottom_p = np.logaddexp(log_s + at_posterior, log_rest + log_z)
        new = log_mean(at_draws - bottom_q)[0] - log_mean(-bottom_p.ravel())[0]
        settled, log_z = abs(new - log_z) < _SETTLED, new
        if settled:
            break
    f = at_draws - log_z - np.logaddexp(log_s + at_draws - log_z, log_rest)
    g = -np.logaddexp(log_s + at_posterior - log_z, log_rest)
    error_p = log_mean(g.ravel(), efficiency(np.exp(g)))[1]
    return Estimate(log_z, math.hypot(log_mean(f)[1], error_p))


def efficiency(values: np.ndarray) -> float:
    """Effective draws for each draw of chains [chains, n]: 1 for independent ones, in (0, 1]."""
    chains, count = values.shape
    if chains * values.var() == 0.0:
        return 1.0
    ess = tfp.mcmc.effective_sample_size(
        tf.constant(values.T, tf.float64), filter_beyond_positive_pairs=True, cross_chain_dims=1 if chains > 1 else None
    )
    return float(np.clip(np.sum(ess) / (chains * count), 1.0 / (chains * count), 1.0))
