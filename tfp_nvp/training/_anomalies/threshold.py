"""The score above which a row is called an anomaly, with confidence intervals."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._warnings import warn

tfd = tfp.distributions

#: The level of the confidence intervals.
CONFIDENCE = 0.95
#: The false-positive rate where enough rows are held out for it.
DEFAULT_RATE = 0.01


class Threshold(NamedTuple):
    """A score above which rows are called anomalies, with confidence intervals.

    Attributes:
      value: the threshold.
      interval: 95 % confidence interval of the quantile that `value` estimates; an end may be infinite.
      false_positive_rate: the requested rate.
      rate_interval: 95 % interval of the actual false-positive rate.
      rows: number of held-out rows.
    """

    value: float
    interval: tuple[float, float]
    false_positive_rate: float
    rate_interval: tuple[float, float]
    rows: int


def threshold_of(scores: np.ndarray, false_positive_rate: float) -> Threshold:
    """Sets the threshold from scores of held-out rows.

    For continuous scores, the rate of the k-th smallest of n is Beta(n + 1 − k, k), and the number of scores below
    a quantile is binomial: both intervals hold for any distribution of the scores.

    Raises:
      ValueError: if a score is NaN, or there are too few for the rate.
    """
    n = len(scores)
    k, rate = order_statistic(n, false_positive_rate), float(false_positive_rate)
    if np.isnan(scores).any():
        raise ValueError(f"{np.isnan(scores).sum()} held-out row(s) have no score (NaN); are they finite?")
    ordered = np.sort(np.asarray(scores, np.float64))
    if not np.isfinite(ordered[k - 1]):
        raise ValueError(f"{np.isinf(ordered).sum()} of {n} held-out rows have density 0; no threshold is above them.")
    low, high, rate_interval = _intervals(n, k, rate)
    interval = (
        float(ordered[low - 1]) if low >= 1 else -math.inf,
        float(ordered[high - 1]) if high <= n else math.inf,
    )
    return Threshold(float(ordered[k - 1]), interval, rate, rate_interval, n)


@functools.lru_cache(maxsize=128)
def _intervals(n: int, k: int, rate: float) -> tuple[int, int, tuple[float, float]]:
    """Ranks of the scores that end the interval of the quantile, 0 and n + 1 for infinite ends; and of the rate."""
    tails = np.array([(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    # P(at most i of n scores lie below the quantile), i = 0 … n.
    below = tfd.Binomial(np.float64(n), probs=np.float64(1.0 - rate)).cdf(np.arange(n + 1.0)).numpy()
    low, high = int(np.searchsorted(below, tails[0])), int(np.searchsorted(below, tails[1])) + 1
    rates = tfp.math.betaincinv(np.float64(n + 1 - k), np.float64(k), tails).numpy()
    return low, high, (float(rates[0]), float(rates[1]))


def order_statistic(rows: int, false_positive_rate: float) -> int:
    """The rank k = ⌈(n + 1)(1 − rate)⌉ of the threshold among n sorted scores.

    Raises:
      ValueError: if there are too few for the rate.
    """
    rate = checks.number("false_positive_rate", false_positive_rate, checks.INNER_FRACTION)
    k = math.ceil((rows + 1) * (1.0 - rate) - 1e-9)
    if k > rows:
        permitted = f", or a rate of at least {_rounded_up(least_rate(rows))}" if rows else ""
        raise ValueError(
            f"`false_positive_rate` = {rate:g} needs at least {math.ceil(1 / rate - 1e-9) - 1} held-out rows; "
            f"there are {rows}. Give more rows{permitted}."
        )
    return k


def least_rate(rows: int) -> float:
    """The least false-positive rate that n held-out rows permit, 1 / (n + 1): the threshold is their largest score."""
    return 1.0 / (rows + 1)


def default_rate(rows: int) -> float:
    """The false-positive rate by default: 0.01, or with a warning the least that so few held-out rows permit."""
    rate = max(DEFAULT_RATE, least_rate(rows)) if rows else DEFAULT_RATE
    if rate > DEFAULT_RATE:
        warn(
            f"{rows} held-out rows permit no false-positive rate below 1 / {rows + 1} = {rate:.2g}, which is taken "
            f"instead of {DEFAULT_RATE:g}: the threshold is their largest score. Give `false_positive_rate` to choose "
            f"one, or at least {round(1 / DEFAULT_RATE) - 1} held-out rows."
        )
    return rate


def _rounded_up(rate: float) -> str:
    """A rate in three digits, none of them rounded down: it is one that the rows permit."""
    scale = 10.0 ** (2 - math.floor(math.log10(rate)))
    return f"{math.ceil(rate * scale) / scale:.3g}"
