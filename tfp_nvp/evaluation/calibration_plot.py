"""Plots ranks and credibilities, with their ranges under calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp.evaluation.figures import DATA, INK, matrix, names_of, new_figure, saved, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_calibration(
    ranks: Any,
    num_samples: int,
    credibility: Any = None,
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Plots histograms of the ranks of each element, and the expected coverage.

    For a calibrated model, ranks are uniform and the coverage is the diagonal, up to the grey 95 % bands
    of each bin and level. Above the diagonal: too wide; below: too narrow.

    Args:
      ranks: int [m, d], from `evaluation.ranks`.
      num_samples: its argument `num_samples`.
      credibility: [m] in [0, 1], from `evaluation.credibility`; None for no panel of the coverage.
      names: d names of the elements; by default those of a frame of ranks, else x₁, x₂, …
      path: file for the picture, or None.

    Raises:
      ValueError: for another shape, or ranks outside 0, …, num_samples.
      ImportError: without matplotlib and scipy.

    >>> figure = plot_calibration(np.arange(100)[:, None], 99)
    >>> figure.axes[0].get_xlabel()
    'rank of $x_{1}$ among 99 samples'
    """
    labels = names_of(names, np.shape(ranks)[-1] if np.ndim(ranks) else 0, ranks)
    ranks = matrix("ranks", ranks)
    if ranks.min() < 0 or ranks.max() > num_samples:
        raise ValueError(f"`ranks` must lie in 0 to {num_samples}; they go from {ranks.min():g} to {ranks.max():g}.")
    m, d = ranks.shape
    panels = d + (credibility is not None)
    columns = min(panels, 4)
    rows = -(-panels // columns)
    figure = new_figure(figsize=(3.4 * columns, 2.9 * rows), layout="constrained")
    for i, label in enumerate(labels):
        _draw_ranks(figure.add_subplot(rows, columns, i + 1), ranks[:, i], num_samples, label)
    if credibility is not None:
        levels = np.asarray(credibility, dtype=float)
        if levels.shape != (m,):
            raise ValueError(f"`credibility` must have shape [{m}], as there are {m} ranks; got {list(levels.shape)}.")
        if not ((levels >= 0) & (levels <= 1)).all():
            raise ValueError(
                f"`credibility` must lie in [0, 1]; it goes from {levels.min():g} to {levels.max():g}, or is NaN."
            )
        _draw_coverage(figure.add_subplot(rows, columns, panels), levels)
    return saved(figure, path)


def _draw_ranks(axes: Axes, ranks: np.ndarray, num_samples: int, label: str) -> None:
    """Draws a histogram with bins of nearly equally many ranks."""
    m = len(ranks)
    bins = int(np.clip(m // 20, 2, min(20, num_samples + 1)))
    edges = np.unique(np.round(np.linspace(0, num_samples + 1, bins + 1)))
    share = np.diff(edges) / (num_samples + 1)
    low, high = _binomial_band(m, share)
    axes.fill_between(edges, np.append(low, low[-1]), np.append(high, high[-1]), step="post", color="#dddddd", lw=0)
    counts, _ = np.histogram(ranks, edges)
    axes.stairs(counts, edges, color=DATA, linewidth=1.6)
    axes.set(xlabel=f"rank of {label} among {num_samples} samples", ylabel="rows", xlim=(0, num_samples + 1))
    axes.set_ylim(0, 1.15 * max(counts.max(), high.max()))
    tidy(axes)


def _draw_coverage(axes: Axes, credibility: np.ndarray) -> None:
    levels = np.linspace(0.0, 1.0, 101)
    coverage = np.searchsorted(np.sort(credibility), levels, side="right") / len(credibility)
    low, high = _binomial_band(len(credibility), levels)
    axes.fill_between(levels, low / len(credibility), high / len(credibility), color="#dddddd", lw=0)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    axes.plot(levels, coverage, color=DATA, linewidth=1.6)
    axes.set(xlabel="mass of the region", ylabel="share of rows within", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    tidy(axes)


def _binomial_band(rows: int, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of the count in each bin or below each level."""
    try:
        from scipy.stats import binom
    except ImportError as error:
        raise ImportError("Calibration plots need scipy: pip install 'tfp-nvp[plots]'") from error
    return binom.ppf(0.025, rows, share), binom.ppf(0.975, rows, share)
