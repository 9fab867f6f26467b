"""Bands hold as much as they say."""

import numpy as np
import pytest
from scipy import stats

from tfp_nvp.evaluation._bands import simultaneous_band

LEVELS = np.arange(1, 100) / 100


def share_within(rows: int, levels: np.ndarray, confidence: float, rng: np.random.Generator, draws: int) -> float:
    """The share of simulated distribution functions that are within their band at all levels."""
    low, high = simultaneous_band(rows, levels, confidence)
    steps = np.diff(np.concatenate([[0.0], levels, [1.0]]))
    counts = rng.multinomial(rows, steps, size=draws)[:, :-1].cumsum(axis=1)
    return float(((low <= counts) & (counts <= high)).all(axis=1).mean())


@pytest.mark.parametrize(("rows", "confidence"), [(20, 0.95), (300, 0.95), (1000, 0.9), (5000, 0.95)])
def test_a_band_holds_the_whole_curve(rows, confidence, rng):
    found = share_within(rows, LEVELS, confidence, rng, 20_000)
    error = 4.0 * np.sqrt(confidence * (1.0 - confidence) / 20_000)
    assert confidence - error < found < confidence + 0.015  # counts are integers


def test_one_level_alone_is_the_pointwise_interval():
    low, high = simultaneous_band(200, np.array([0.3]))
    assert (low, high) == stats.binom(200, 0.3).interval(0.95)


def test_it_is_wider_than_the_pointwise_band_and_narrower_than_bonferroni():
    low, high = simultaneous_band(500, LEVELS)
    assert (high >= stats.binom.isf(0.025, 500, LEVELS)).all()
    assert high.sum() > stats.binom.isf(0.025, 500, LEVELS).sum()
    assert high.sum() < stats.binom.isf(0.025 / 99, 500, LEVELS).sum()
    np.testing.assert_array_equal(low, 500 - high[::-1])
