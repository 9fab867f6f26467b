"""The maximum mean discrepancy of two samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfp_nvp import checks
from tfp_nvp.evaluation._two_samples import standardized_pair

#: Numbers of a block of the kernel's matrix, and rows of each sample whose distances give the bandwidth.
_BLOCK, _ROWS = 2**22, 1000


def mmd(reference: Any, samples: Any, *, bandwidth: float | None = None) -> float:
    """The squared maximum mean discrepancy of two samples, estimated without bias, so that it may be below 0.

        MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y),    k(x, y) = exp(−|x − y|² / (2 bandwidth²))

    It is 0 if and only if both have the same distribution. Both samples are standardized with the mean and deviation of
    the reference. It takes n² time, about a second for 5,000 rows each.

    Args:
      reference: [n, d], such as data, or draws of the exact posterior; n at least 2.
      samples: [m, d], such as those of a model; a frame's columns are taken by name.
      bandwidth: positive, in deviations of the reference's columns; by default the median of the distances between
        rows of the two samples taken together, of at most the first 1,000 rows of each.

    Raises:
      TypeError, ValueError: for what are no two tables of finite numbers with the same columns, or too few rows.

    >>> rows = np.random.default_rng(0).normal(size=(2, 500, 1))
    >>> bool(abs(mmd(*rows)) < 0.01), bool(mmd(rows[0], rows[1] + 1.0) > 0.1)
    (True, True)

    References: Gretton, Borgwardt, Rasch, Schölkopf & Smola (2012), "A Kernel Two-Sample Test", Journal of Machine
    Learning Research 13, equation 3 and section 8.
    """
    x, y = standardized_pair("reference", reference, "samples", samples)
    if bandwidth is None:
        both = np.concatenate([x[:_ROWS], y[:_ROWS]])
        distances = np.sqrt(_squared_distances(both, both)[np.triu_indices(len(both), 1)])
        bandwidth = float(np.median(distances)) or 1.0  # where most rows are equal
    bandwidth = checks.positive("bandwidth", bandwidth)
    n, m = len(x), len(y)
    within_x = (_kernel_sum(x, x, bandwidth) - n) / (n * (n - 1))
    within_y = (_kernel_sum(y, y, bandwidth) - m) / (m * (m - 1))
    return float(within_x + within_y - 2.0 * _kernel_sum(x, y, bandwidth) / (n * m))


def _kernel_sum(x: np.ndarray, y: np.ndarray, bandwidth: float) -> float:
    """Σᵢⱼ k(xᵢ, yⱼ), block by block."""
    blocks = np.array_split(x, -(-len(x) * len(y) // _BLOCK))
    return sum(float(np.exp(_squared_distances(block, y) / (-2.0 * bandwidth**2)).sum()) for block in blocks)


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|xᵢ − yⱼ|², [n, m]; standardized rows are near 0, where the sum does not cancel."""
    squares = np.square(x).sum(axis=1)[:, np.newaxis] + np.square(y).sum(axis=1)
    return np.maximum(squares - 2.0 * x @ y.T, 0.0)
