"""Numbers that lie on a grid of equal steps."""

from __future__ import annotations

import numpy as np


def sample_of(column: np.ndarray) -> np.ndarray:
    """At most 200,000 evenly spaced values of a column."""
    return column[:: -(-len(column) // 200_000)]


def grid_step(column: np.ndarray) -> float:
    """The grid spacing of a column whose values repeat on a grid, else 0."""
    column = sample_of(column)
    values = np.unique(column)
    if len(values) > 0.5 * len(column) or len(values) < 2:
        return 0.0
    gaps = np.diff(values)
    step = float(gaps[gaps < 1.5 * gaps.min()].mean())  # of several, as each has the rounding errors of two values
    rounding = 4 * np.finfo(np.float32).eps * np.abs(values).max()  # the values may have been float32
    if step < 10 * rounding and (values != np.round(values)).any():
        return 0.0
    multiples = gaps / step
    tolerance = max(1e-3, min(0.1, rounding / step))
    counts = np.round(multiples)
    if np.abs(multiples - counts).max() >= tolerance:
        return 0.0
    step = float((values[-1] - values[0]) / counts.sum())
    short = float(f"{step:.4g}")
    return short if abs(short - step) * counts.sum() < rounding else step
