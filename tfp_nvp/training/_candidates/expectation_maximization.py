"""Gaussian mixtures and weights of mixtures, by expectation and maximization."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: The iterations end when the mean log-likelihood grows by less than this, in nats, and after so many anyway.
TOLERANCE, MOST_ITERATIONS = 1e-3, 100


class Components(NamedTuple):
    """A Gaussian mixture: log-weights [k], means [k, d] and lower triangles [k, d, d], or [1, d, d] of all."""

    log_weights: Array
    means: Array
    scale_tril: Array


def fit_components(x: Array, count: int, ridge: float, seed: int, weight: Array | None = None) -> Components:
    """Fits a mixture of `count` Gaussians to rows x [n, d].

        Σₖ = Σᵢ rᵢₖ (xᵢ − μₖ)(xᵢ − μₖ)ᵀ / nₖ + ridge · I

    Components start at rows that are far apart (k-means++).

    Args:
      x: standardized rows.
      count: of components.
      ridge: a variance, positive, which keeps components of few rows from collapsing.
      seed: of the start.
      weight: of the rows [n], of mean 1; None for equal ones.

    References: Dempster, Laird & Rubin (1977), "Maximum likelihood from incomplete data via the EM algorithm"; Arthur &
    Vassilvitskii (2007), "k-means++: the advantages of careful seeding".
    """
    n = len(x)
    weight = np.ones(n) if weight is None else weight
    responsibilities = np.zeros([n, count])
    responsibilities[np.arange(n), _nearest(x, _distant_rows(x, count, seed, weight))] = 1.0
    before = -np.inf
    for _ in range(MOST_ITERATIONS):
        components = _maximized(x, responsibilities * weight[:, np.newaxis], ridge)
        log_terms = log_terms_of(x, components)
        log_prob = log_sum_exp(log_terms)
        responsibilities = np.exp(log_terms - log_prob[:, np.newaxis])
        now = float(np.average(log_prob, weights=weight))
        if now - before < TOLERANCE:
            break
        before = now
    return components


def covariance(x: Array, weight: Array | None = None) -> Array:
    """The covariance [d, d] of rows, with a little added to its diagonal."""
    centred = x - np.average(x, axis=0, weights=weight)
    found = (centred.T * (1.0 if weight is None else weight)) @ centred / len(x)
    return found + 1e-6 * np.eye(x.shape[1]) * np.trace(found) / x.shape[1]


def log_terms_of(x: Array, components: Components) -> Array:
    """log wₖ N(x; μₖ, Lₖ Lₖᵀ): [n, d] → [n, k]."""
    d = x.shape[1]
    terms = np.empty([len(x), len(components.log_weights)])
    for k, (log_weight, mean) in enumerate(zip(components.log_weights, components.means, strict=True)):
        scale = components.scale_tril[min(k, len(components.scale_tril) - 1)]
        z = np.linalg.solve(scale, (x - mean).T)
        log_det = np.log(np.diagonal(scale)).sum()
        terms[:, k] = log_weight - 0.5 * np.square(z).sum(axis=0) - log_det - 0.5 * d * np.log(2.0 * np.pi)
    return terms


def log_sum_exp(terms: Array) -> Array:
    """log Σₖ exp: [n, k] → [n]."""
    highest = terms.max(axis=1)
    finite = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):
        return finite + np.log(np.exp(terms - finite[:, np.newaxis]).sum(axis=1))


def fit_weights(log_prob: Array, weight: Array | None = None, least: float = 0.01) -> Array:
    """The weights [m] of a mixture of m given densities that make held-out rows most likely.

    The likelihood is concave in them, and EM finds its maximum. Those below `least` are set to zero, and the others
    fitted again.

    Args:
      log_prob: of the rows under each density [n, m], in nats; rows of −inf under all that are left are left out.
      weight: of the rows [n]; None for equal ones.
      least: the smallest weight that is kept.

    References: Smyth & Wolpert (1999), "Linearly combining density estimators via stacking".
    """
    weight = np.ones(len(log_prob)) if weight is None else weight
    kept = np.ones(log_prob.shape[1], bool)
    while True:
        weights = _weights_of(log_prob, weight, kept)
        small = kept & (weights < least)
        if not small.any():
            return weights
        kept &= ~small


def _weights_of(log_prob: Array, weight: Array, kept: NDArray[np.bool_]) -> Array:
    possible = np.isfinite(log_prob[:, kept]).any(axis=1)
    log_prob, weight = log_prob[possible], weight[possible]
    log_weights = np.where(kept, -np.log(kept.sum()), -np.inf)
    before = -np.inf
    for _ in range(20 * MOST_ITERATIONS):
        terms = log_prob + log_weights
        total = log_sum_exp(terms)
        share = np.average(np.exp(terms - total[:, np.newaxis]), axis=0, weights=weight)
        with np.errstate(divide="ignore"):
            log_weights = np.log(share)
        now = float(np.average(total, weights=weight))
        if now - before < 1e-4 * TOLERANCE:
            break
        before = now
    return share


def _maximized(x: Array, weights: Array, ridge: float) -> Components:
    """The components [k] that fit the rows best, weighted by [n, k]."""
    d, counts = x.shape[1], np.maximum(weights.sum(axis=0), 1e-9)
    means = weights.T @ x / counts[:, np.newaxis]
    scales = np.empty([len(counts), d, d])
    for k, (count, mean) in enumerate(zip(counts, means, strict=True)):
        centred = x - mean
        scales[k] = np.linalg.cholesky((centred.T * weights[:, k]) @ centred / count + ridge * np.eye(d))
    return Components(np.log(counts / counts.sum()), means, scales)


def _distant_rows(x: Array, count: int, seed: int, weight: Array) -> Array:
    """`count` rows, each drawn with a chance that grows with the squared distance from those before."""
    rng = np.random.default_rng(seed)
    chosen = [x[rng.choice(len(x), p=weight / weight.sum())]]
    nearest = np.square(x - chosen[0]).sum(axis=1)
    for _ in range(count - 1):
        chance = nearest * weight
        chance = chance / chance.sum() if chance.sum() else weight / weight.sum()
        chosen.append(x[rng.choice(len(x), p=chance)])
        nearest = np.minimum(nearest, np.square(x - chosen[-1]).sum(axis=1))
    return np.stack(chosen)


def _nearest(x: Array, centres: Array) -> NDArray[np.int64]:
    return np.stack([np.square(x - centre).sum(axis=1) for centre in centres]).argmin(axis=0)
