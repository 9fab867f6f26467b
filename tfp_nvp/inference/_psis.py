"""Pareto-smoothed importance weights."""

from __future__ import annotations

import math

import numpy as np


def pareto_smoothed(log_weights: np.ndarray, relative_efficiency: float = 1.0) -> tuple[np.ndarray, float]:
    """Log-weights whose largest ones are replaced by quantiles of a generalized Pareto distribution, and its shape k̂.

    The tail is the largest M = min(S / 5, 3 √(S / r)) of S weights. Below k̂ = 0.7 estimates by importance sampling are
    reliable, at 1 and above no number of draws helps: the weights have no mean.

    Args:
      log_weights: [S], in nats; −inf for a weight of zero.
      relative_efficiency: r, effective draws for each draw, where these are of a Markov chain.

    Returns:
      Log-weights [S], normalized to a sum of 1, and k̂: NaN for fewer than 5 weights in the tail.

    References: Vehtari, Simpson, Gelman, Yao & Gabry (2024), "Pareto Smoothed Importance Sampling", JMLR 25(72),
    arXiv:1507.02646, section 3; Zhang & Stephens (2009), "A New and Efficient Estimation Method for the Generalized
    Pareto Distribution", Technometrics 51(3).
    """
    smoothed = log_weights - log_weights.max()
    count, k = len(smoothed), math.nan
    tail = math.ceil(min(count / 5.0, 3.0 * math.sqrt(count / relative_efficiency)))
    tail = min(tail, int(np.count_nonzero(smoothed > -math.inf)) - 1)
    if tail >= 5:
        order = np.argsort(smoothed)
        largest, cutoff = order[-tail:], max(smoothed[order[-tail - 1]], math.log(np.finfo(np.float64).tiny))
        excess = np.exp(smoothed[largest]) - math.exp(cutoff)
        if excess[0] < excess[-1] and excess[-1] > 0.0:
            k, sigma = fit_generalized_pareto(excess[excess > 0.0])
            probabilities = (np.arange(tail) + 0.5) / tail
            quantiles = sigma * (np.expm1(-k * np.log1p(-probabilities)) / k if k else -np.log1p(-probabilities))
            smoothed[largest] = np.minimum(np.log(quantiles + math.exp(cutoff)), 0.0)
        else:  # the weights of the tail are equal
            k = -math.inf
    return smoothed - np.logaddexp.reduce(smoothed), k


def fit_generalized_pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape k and scale σ of the density (1 + k x / σ)^(−1/k − 1) / σ, by Zhang and Stephens' empirical Bayes.

    k has the prior of 10 observations at 1/2 that keeps it stable for short tails (Vehtari et al. 2024, appendix G).

    Args:
      excess: [M], positive, ascending.
    """
    count = len(excess)
    candidates = 30 + int(math.sqrt(count))
    quartile = excess[int(count / 4.0 + 0.5) - 1]
    theta = 1.0 - np.sqrt(candidates / (np.arange(1, candidates + 1) - 0.5))
    theta = theta / (3.0 * quartile) + 1.0 / excess[-1]
    shapes = np.log1p(-theta[:, np.newaxis] * excess).mean(axis=1)
    log_likelihood = count * (np.log(-theta / shapes) - shapes - 1.0)
    weights = np.exp(log_likelihood - np.logaddexp.reduce(log_likelihood))
    mean_theta = float(np.sum(theta * weights))
    k = float(np.log1p(-mean_theta * excess).mean())
    return (count * k + 10.0 * 0.5) / (count + 10.0), -k / mean_theta
