"""Plots ranks and credibilities, with their ranges under calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp import checks
from tfp_nvp.evaluation._bands import simultaneous_band
from tfp_nvp.evaluation.figures import DATA, INK, matrix, names_of, new_figure, saved, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A curve is drawn at so many levels at most.
_LEVELS = 100
_BAND: dict[str, Any] = {"color": "#dddddd", "linewidth": 0, "label": "95 % simultaneous band"}


def plot_calibration(
    ranks: Any,
    num_samples: int,
    credibility: Any = None,
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Plots how far the distribution of the ranks of each element is from uniform, and the expected coverage.

        share of rows with a rank below r  −  r / (num_samples + 1),    r = 1, …, num_samples

    For a calibrated model both curves stay within their grey bands, as a whole, in 95 of 100 plots of one curve
    (simultaneous bands: Säilynoja et al. 2022). A curve of ranks that is above the band: the model's samples are too
    high; below: too low; above on the left and below on the right: too narrow; the other way: too wide. A coverage
    above the diagonal: too wide; below: too narrow.

    Args:
      ranks: int [m, d], from `evaluation.ranks`.
      num_samples: its argument `num_samples`.
      credibility: [m] in [0, 1], from `evaluation.credibility` or `evaluation.tarp`; None for no panel of the coverage.
      names: d names of the elements; by default those of a frame of ranks, else x₁, x₂, …
      path: file for the picture, or None.

    Raises:
      ValueError: for another shape, or ranks outside 0, …, num_samples.
      ImportError: without matplotlib and scipy.

    >>> figure = plot_calibration(np.arange(100)[:, None], 99)
    >>> figure.axes[0].get_xlabel()
    'rank of $x_{1}$ among 99 samples'

    References: Säilynoja, Bürkner & Vehtari (2022), "Graphical test for discrete uniformity and its applications in
    goodness-of-fit evaluation and multiple sample comparison", arXiv:2103.10522.
    """
    labels = names_of(names, np.shape(ranks)[-1] if np.ndim(ranks) else 0, ranks)
    ranks = matrix("ranks", ranks)
    num_samples = checks.integer("num_samples", num_samples, 1)
    if not (ranks.min() >= 0 and ranks.max() <= num_samples):
        raise ValueError(f"`ranks` must lie in 0 to {num_samples}; they go from {ranks.min():g} to {ranks.max():g}.")
    m, d = ranks.shape
    panels = d + (credibility is not None)
    columns = min(panels, 4)
    rows = -(-panels // columns)
    figure = new_figure(figsize=(max(3.4 * columns, 4.6), 2.9 * rows + 0.5), layout="constrained")
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
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return saved(figure, path)


def _draw_ranks(axes: Axes, ranks: np.ndarray, num_samples: int, label: str) -> None:
    """Draws the difference of the ranks' distribution function from the uniform one."""
    inner = np.unique(np.round(np.linspace(0, num_samples + 1, min(_LEVELS, num_samples + 1) + 1)))[1:-1]
    levels = inner / (num_samples + 1)
    counts = np.searchsorted(np.sort(ranks), inner)  # of ranks below
    low, high = (band / len(ranks) - levels for band in simultaneous_band(len(ranks), levels))
    axes.fill_between(_to_ends(inner, 0, num_samples + 1), _to_ends(low), _to_ends(high), **_BAND)
    axes.axhline(0.0, color=INK, linewidth=0.8, linestyle=":", label="uniform")
    difference = _to_ends(counts / len(ranks) - levels)
    axes.plot(_to_ends(inner, 0, num_samples + 1), difference, color=DATA, linewidth=1.6, label="model")
    axes.set(xlabel=f"rank of {label} among {num_samples} samples", ylabel="share of rows below − uniform")
    axes.set_xlim(0, num_samples + 1)
    limit = 1.15 * max(np.abs(difference).max(), np.abs(low).max(), np.abs(high).max())
    axes.set_ylim(-limit, limit)
    tidy(axes)


def _draw_coverage(axes: Axes, credibility: np.ndarray) -> None:
    levels = np.linspace(0.0, 1.0, _LEVELS + 1)
    coverage = np.searchsorted(np.sort(credibility), levels, side="right") / len(credibility)
    low, high = (band / len(credibility) for band in simultaneous_band(len(credibility), levels[1:-1]))
    axes.fill_between(levels, _to_ends(low, 0.0, 1.0), _to_ends(high, 0.0, 1.0), **_BAND)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    axes.plot(levels, coverage, color=DATA, linewidth=1.6)
    axes.set(xlabel="mass of the region", ylabel="share of rows within", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    tidy(axes)


def _to_ends(values: np.ndarray, first: float = 0.0, last: float = 0.0) -> np.ndarray:
    """Values between those at both ends."""
    return np.concatenate([[first], values, [last]])
