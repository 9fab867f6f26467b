"""Simultaneous confidence bands of empirical distribution functions."""

from __future__ import annotations

import functools

import numpy as np

from tfp_nvp._extras import install

#: The pointwise level hardly depends on the number of rows beyond so many, and its search takes a quarter of a second.
_MOST_ROWS = 1000


def simultaneous_band(rows: int, levels: np.ndarray, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The counts within which the distribution function of uniform numbers stays at all levels at once.

        P(low_k ≤ #{u_i ≤ levels_k} ≤ high_k for all k) ≥ confidence,    u_1, …, u_rows uniform on [0, 1]

    Each pair is the pointwise interval of a binomial count, of one pointwise confidence for all levels, the least with
    which they hold together. The probability is exact, by a recursion over the levels: given the count n at one level
    t, that at the next level t' is n plus a binomial count of the other rows, of probability (t' − t) / (1 − t). Beyond
    1,000 rows the pointwise confidence is that of 1,000.

    Args:
      rows: number of uniform numbers.
      levels: ascending, in (0, 1), [k].
      confidence: in (0, 1).

    Returns:
      low and high, [k] each.

    Raises:
      ImportError: without scipy.

    References: Säilynoja, Bürkner & Vehtari (2022), "Graphical test for discrete uniformity and its applications in
    goodness-of-fit evaluation and multiple sample comparison", arXiv:2103.10522, section 2.
    """
    tail = _tail(min(rows, _MOST_ROWS), tuple(map(float, levels)), confidence)
    return _pointwise(rows, levels, tail)


def _pointwise(rows: int, levels: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of binomial counts, beyond either end of which there is at most the probability `tail`."""
    try:
        from scipy.stats import binom
    except ImportError as error:
        raise ImportError(f"Calibration plots need scipy: {install('plots')}") from error
    return binom.ppf(tail, rows, levels), binom.isf(tail, rows, levels)


@functools.lru_cache(maxsize=32)
def _tail(rows: int, levels: tuple[float, ...], confidence: float) -> float:
    """The largest probability of either tail at one level with which the band holds at all levels."""
    at = np.asarray(levels)
    # By Bonferroni's inequality the first one is small enough, and no band is wider than at a level alone.
    low, high = (1.0 - confidence) / (2.0 * len(at)), (1.0 - confidence) / 2.0
    for _ in range(12):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if _coverage(rows, at, middle) >= confidence else (low, middle)
    return float(low)


def _coverage(rows: int, levels: np.ndarray, tail: float) -> float:
    """The probability that counts of uniform numbers are within their pointwise intervals at all levels."""
    from scipy.special import gammaln

    log_factorial = gammaln(np.arange(rows + 2) + 1.0)
    counts, probability, before = np.array([0]), np.array([1.0]), 0.0
    for level, low, high in zip(levels, *_pointwise(rows, levels, tail), strict=True):
        share, before = (level - before) / (1.0 - before), level
        after = np.arange(int(low), int(high) + 1)
        new = after - counts[:, np.newaxis]
        log_choose = log_factorial[rows - counts][:, np.newaxis] - log_factorial[np.maximum(new, 0)]
        log_step = log_choose - log_factorial[rows - after] + new * np.log(share) + (rows - after) * np.log1p(-share)
        counts, probability = after, probability @ np.where(new >= 0, np.exp(np.minimum(log_step, 0.0)), 0.0)
    return float(probability.sum())
