"""Location and scale of columns, of rows with or without weights."""

from __future__ import annotations

import numpy as np


def moments(values: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of values [n, d]; weights [n] are relative."""
    size = np.abs(values).max(axis=0)
    size = np.where(size > 0, size, 1.0)
    values = values / size  # squares of tiny values would vanish, and those of huge ones overflow
    mean = np.average(values, axis=0, weights=weight)
    return mean * size, np.sqrt(np.average(np.square(values - mean), axis=0, weights=weight)) * size


def robust_moments(values: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation of each column; the plain deviation if half of a column is one value."""
    low, median, high = quantiles(values, (0.25, 0.5, 0.75), weight)
    robust = (high - low) / 1.349
    return median, np.where(robust > 0, robust, moments(values, weight)[1])


def quantiles(values: np.ndarray, levels: tuple[float, ...], weight: np.ndarray | None = None) -> np.ndarray:
    """Quantiles [levels, d] of each column, interpolated; a row stands at the middle of its weight."""
    if weight is None:
        return np.quantile(values, levels, axis=0)
    columns = []
    for column in values.T:
        order = np.argsort(column)
        ends = np.cumsum(weight[order])
        columns.append(np.interp(levels, (ends - weight[order] / 2) / ends[-1], column[order]))
    return np.stack(columns, axis=1)
