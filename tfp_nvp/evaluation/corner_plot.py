"""Plots data against samples, in one and two columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp import tables
from tfp_nvp._extras import install
from tfp_nvp.evaluation.figures import DATA, INK, MODEL, matrix, names_of, new_figure, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_MAX_POINTS = 5_000  # drawn as dots; more would merge


def plot_corner(
    data: Any,
    samples: Any,
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
    *,
    max_columns: int = 7,
) -> Figure:
    """Plots the marginals of one and two columns, of data and of a flow's samples.

    Contours enclose 39 % and 86 % of the mass, as 1σ and 2σ of a normal distribution in
    two dimensions. The axes span the middle 99 % of the data.

    Args:
      data: [n, d], n > d.
      samples: [m, d], m > d; rows that are not finite are omitted and counted in the legend.
      names: d column names; by default those of a frame, else x₁, x₂, …
      path: file for the picture, or None.
      max_columns: number of columns to draw, at most, the first ones; the legend says so.

    Raises:
      ValueError: for arrays of other shapes, too few rows or names.
      ImportError: without matplotlib and corner.

    >>> rng = np.random.default_rng(0)
    >>> figure = plot_corner(rng.normal(size=[500, 3]), rng.normal(size=[500, 3]), ["a", "b", "c"])
    >>> len(figure.axes)
    9
    """
    labels_from = data, samples
    samples = tables.in_order("samples", tables.read("samples", samples), tables.columns_of(data))
    data, samples = matrix("data", data), matrix("samples", samples)
    d = data.shape[1]
    if samples.shape[1] != d:
        raise ValueError(f"`samples` must have the {d} column(s) of `data`; it has {samples.shape[1]}.")
    shown = min(d, max_columns)
    labels = names_of(names, d, *labels_from)
    finite = np.isfinite(samples).all(axis=1)
    ranges = [_range(column) for column in data.T[:shown]]
    data, drawn = data[:, :shown], samples[finite, :shown]
    if len(data) <= shown or len(drawn) <= shown:
        raise ValueError(
            f"{shown} columns need more rows than columns; got {len(data)} of data, {len(drawn)} of samples."
        )

    low, high = np.transpose(ranges)
    inside = ((drawn >= low) & (drawn <= high)).all(axis=1)
    # The same bins for both, as smoothing must widen both alike.
    bins = int(np.clip(0.5 * np.sqrt(min(len(data), len(drawn))), 15, 50))
    figure = new_figure(figsize=(2.2 * shown + 1.0,) * 2)
    _overlay(figure, data, ranges, bins, labels[:shown], DATA, histtype="stepfilled", alpha=0.35)
    if inside.any():
        _overlay(figure, drawn, ranges, bins, labels[:shown], MODEL, histtype="step")
    _draw_dots(figure, data)
    note = "" if finite.all() else f", {(~finite).sum():,} more not finite"
    note += "" if inside.any() else ", none within these axes"
    legend = {f"data ({len(data):,} rows)": DATA, f"flow ({len(drawn):,} samples{note})": MODEL}
    _finish_corner(figure, shown, legend, f"the first {shown} of {d} columns" if shown < d else None)
    return saved(figure, path)


def _overlay(
    figure: Figure,
    values: np.ndarray,
    ranges: Sequence[tuple[float, float]],
    bins: int,
    labels: list[str],
    color: str,
    **histogram: Any,
) -> None:
    """Adds a set of rows to a corner plot."""
    try:
        import corner
    except ImportError as error:
        raise ImportError(f"Corner plots need corner: {install('plots')}") from error
    corner.corner(
        values,
        fig=figure,
        bins=bins,
        range=ranges,
        labels=labels,
        color=color,
        smooth=1.0,
        levels=1.0 - np.exp(-0.5 * np.array([1.0, 2.0]) ** 2),
        plot_datapoints=False,
        plot_density=False,
        no_fill_contours=True,
        quiet=True,
        max_n_ticks=4,
        labelpad=-0.05,
        hist_kwargs={"density": True, "linewidth": 1.5} | histogram,
        contour_kwargs={"linewidths": 1.3},
    )


def _draw_dots(figure: Figure, data: np.ndarray) -> None:
    """Draws the rows under the contours."""
    d = data.shape[1]
    dots = np.random.default_rng(0).permutation(data)[:_MAX_POINTS]
    size = float(np.clip(60.0 / np.sqrt(len(dots)), 0.8, 2.5))
    style = {"color": DATA, "markersize": size, "markeredgewidth": 0, "alpha": 0.4, "zorder": 0, "rasterized": True}
    for row in range(1, d):
        for column in range(row):
            figure.axes[row * d + column].plot(dots[:, column], dots[:, row], "o", **style)


def _finish_corner(figure: Figure, columns: int, legend: Mapping[str, str], title: str | None) -> None:
    from matplotlib.lines import Line2D

    for i, panel in enumerate(figure.axes):
        panel.tick_params(labelsize=8, length=3, color=INK)
        if i // columns == i % columns:
            panel.set_ylim(0, 1.06 * panel.dataLim.y1)
            for side in ("top", "right", "left"):
                panel.spines[side].set_visible(False)
    handles = [Line2D([], [], color=color, linewidth=2.5) for color in legend.values()]
    place: dict[str, Any] = {"loc": "upper right", "bbox_to_anchor": (0.97, 0.97)}
    if columns == 1:
        place = {"loc": "lower center", "bbox_to_anchor": (0.55, 0.95)}
    size = 10 if columns < 4 else 13
    figure.legend(handles, list(legend), frameon=False, fontsize=size, title=title, title_fontsize=size, **place)


def _range(column: np.ndarray) -> tuple[float, float]:
    """The middle 99 % and a margin; never empty."""
    low, high = np.percentile(column, [0.5, 99.5])
    if not low < high:
        low, high = float(column.min()), float(column.max())
    margin = 0.08 * (high - low) or 0.5 * max(abs(low), 1.0)
    return float(low - margin), float(high + margin)
