"""Densities of standardized rows that are quick to fit: Gaussian mixtures and kernel densities."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import tensorflow as tf

from tfp_nvp.distributions import GaussianMixture
from tfp_nvp.training._candidates.expectation_maximization import (
    Array,
    Components,
    covariance,
    fit_components,
    log_sum_exp,
    log_terms_of,
)

#: Numbers of components; a mixture of several has at least so many rows for each.
COUNTS, ROWS_EACH = (1, 2, 3, 4, 8, 16), 20
#: Ridges on covariances of standardized rows.
RIDGES = (0.001, 0.01, 0.03, 0.1, 0.3)
#: Widths of kernels, as multiples of Silverman's.
WIDTHS = (0.3, 0.5, 0.75, 1.0, 1.4)
#: A kernel density has at most so many kernels, random rows where there are more: they are in the model and its files.
MOST_KERNELS = 2_000
#: Candidates are fitted to at most so many rows.
MOST_ROWS = 20_000


class Candidate(Protocol):
    """A density that can be fitted to rows."""

    @property
    def name(self) -> str:
        """For reports."""

    def fit(self, x: Array, weight: Array | None, seed: int) -> Components:
        """The mixture of Gaussians that it makes of rows x [n, d]."""


class Mixture:
    """A mixture of a number of Gaussians.

    Args:
      count: of components.
      ridge: on their covariances.
    """

    def __init__(self, count: int, ridge: float):
        self._count, self._ridge = count, ridge

    @property
    def name(self) -> str:
        return f"{'one Gaussian' if self._count == 1 else f'mixture of {self._count} Gaussians'}, ridge {self._ridge:g}"

    def fit(self, x: Array, weight: Array | None, seed: int) -> Components:
        return fit_components(x, self._count, self._ridge, seed, weight)


class Kernels:
    """A kernel density estimate with Gaussian kernels of the shape of all rows.

        p(x) = Σᵢ wᵢ N(x; xᵢ, h² cov(x)) / Σᵢ wᵢ,    h = width · (4 / ((d + 2) n))^(1 / (d + 4))

    Args:
      width: as a multiple of the one that is best for normal data.

    References: Silverman (1986), "Density estimation for statistics and data analysis", equation 4.14.
    """

    def __init__(self, width: float):
        self._width = width

    @property
    def name(self) -> str:
        return f"kernels, width {self._width:g}"

    def fit(self, x: Array, weight: Array | None, seed: int) -> Components:
        if len(x) > MOST_KERNELS:
            chosen = np.random.default_rng(seed).choice(len(x), MOST_KERNELS, replace=False)
            x, weight = x[chosen], None if weight is None else weight[chosen]
        n, d = x.shape
        width = self._width * (4.0 / ((d + 2.0) * n)) ** (1.0 / (d + 4.0))
        log_weights = np.zeros(n) if weight is None else np.log(weight)
        scale = width * np.linalg.cholesky(covariance(x, weight))
        return Components(log_weights - np.log(np.exp(log_weights).sum()), x, scale[np.newaxis])


def candidates_for(x: Array, fold: np.ndarray, weight: Array | None, seed: int) -> list[Candidate]:
    """The most promising candidates for rows [n, d], by the likelihood of those of the first fold."""
    counts = [count for count in COUNTS if count == 1 or count * ROWS_EACH <= len(x)]
    mixtures = [Mixture(count, ridge) for count in counts for ridge in RIDGES]
    found: list[Candidate] = []
    for some, most in ((mixtures, 6), (map(Kernels, WIDTHS), 2)):
        scores = [(held_out_log_prob(each, x, fold == 0, weight, seed).mean(), each) for each in some]
        found += [each for _, each in sorted(scores, key=lambda pair: -pair[0])[:most]]
    return found


def out_of_fold_log_prob(candidate: Candidate, x: Array, fold: np.ndarray, weight: Array | None, seed: int) -> Array:
    """log p [n] of every row, of the candidate fitted to the rows of the other folds."""
    log_prob = np.empty(len(x))
    for number in range(fold.max() + 1):
        log_prob[fold == number] = held_out_log_prob(candidate, x, fold == number, weight, seed)
    return log_prob


def held_out_log_prob(candidate: Candidate, x: Array, held: np.ndarray, weight: Array | None, seed: int) -> Array:
    """log p of the rows that are held out, of the candidate fitted to the others."""
    fitted = np.flatnonzero(~held)[:MOST_ROWS]
    components = candidate.fit(x[fitted], None if weight is None else weight[fitted], seed)
    parts = np.array_split(x[held], math.ceil(held.sum() / 2_000))
    return np.concatenate([log_density(part, components) for part in parts])


def log_density(x: Array, components: Components) -> Array:
    """log p [n] of rows [n, d]."""
    if len(components.scale_tril) > 1 or len(components.means) == 1:
        return log_sum_exp(log_terms_of(x, components))
    inverse = np.linalg.inv(components.scale_tril[0])
    x, means = x @ inverse.T, components.means @ inverse.T
    squares = np.square(x).sum(axis=1)[:, np.newaxis] + np.square(means).sum(axis=1) - 2.0 * x @ means.T
    d = x.shape[1]
    constant = np.log(np.abs(np.diagonal(inverse))).sum() - 0.5 * d * np.log(2.0 * np.pi)
    return constant + log_sum_exp(components.log_weights - 0.5 * np.maximum(squares, 0.0))


def as_distribution(components: Components, dtype: tf.DType) -> GaussianMixture:
    """A distribution of these components, which is not trained."""
    count, d = components.means.shape
    mixture = GaussianMixture([d], num_components=count, shared_scale=len(components.scale_tril) < count, dtype=dtype)
    mixture.assign(*components)
    mixture.trainable = False
    return mixture
