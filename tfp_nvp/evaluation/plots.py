"""Pictures: the training curve, data against samples, a density in two dimensions.

Every function returns a `matplotlib.figure.Figure` of its own, saves it if given a `path`,
and leaves pyplot's state and display alone. In a notebook the figure shows itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DATA, _MODEL, _INK = "#31688e", "#d95f02", "#444444"  # blue and orange that colour-blind eyes tell apart
_DPI = 120
_MAX_POINTS = 5_000  # drawn as dots; more make one dark blot


def plot_history(history: Mapping[str, Sequence[float]], path: str | Path | None = None) -> Figure:
    """The negative log-likelihood of each epoch, training and validation, best epoch marked.

    Args:
      history: what Keras' `fit` returns as `.history`: lists by name. "nll" is drawn if it
        is there, else "loss"; each with its "val_" twin.
      path: where to save the picture, by suffix; None for nowhere.

    Raises:
      ValueError: if the history has neither "nll" nor "loss", or no epoch.
      ImportError: without matplotlib.

    >>> plot_history({"loss": [3.0, 2.0], "val_loss": [3.1, 2.2]}).axes[0].get_ylabel()
    'negative log-likelihood (nats)'
    """
    key = next((k for k in ("nll", "loss") if len(history.get(k, []))), None)
    if key is None:
        raise ValueError(f"`history` must hold at least one epoch of 'nll' or 'loss'; it has {sorted(history)}.")
    figure = _figure(figsize=(7, 4.2))
    axes = figure.add_subplot()
    curves = [("training", np.asarray(history[key]), _INK)]
    if len(history.get(f"val_{key}", [])):
        curves.append(("validation", np.asarray(history[f"val_{key}"]), _DATA))
    for label, values, color in curves:
        marker = "o" if len(values) == 1 else None  # a line of one point shows nothing
        axes.plot(np.arange(1, len(values) + 1), values, color=color, label=label, linewidth=1.6, marker=marker)
    _, values, color = curves[-1]
    if np.isfinite(values).any():
        best = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
        label = f"best: {values[best]:.4g} nats at epoch {best + 1}"
        axes.plot(best + 1, values[best], "o", color=_MODEL, markersize=7, label=label, zorder=3)
    _limit_to_the_tail(axes, np.concatenate([values for _, values, _ in curves]))
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="epoch", ylabel="negative log-likelihood (nats)")
    _tidy(axes)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    return _saved(figure, path)


def plot_calibration(
    ranks: Any,
    num_samples: int,
    credibility: Any = None,
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Histograms of the ranks of each element, and the expected coverage, with what chance allows.

    Ranks of a calibrated model fill every bin alike, and its coverage is the diagonal: each is within
    the grey band in 95 of 100 bins, and at 95 of 100 levels. Above the diagonal: too wide; below: too narrow.

    Args:
      ranks: int [m, d], of `evaluation.ranks`.
      num_samples: what they are ranks among.
      credibility: [m] in [0, 1], of `evaluation.credibility`; None for no panel of the coverage.
      names: d names of the elements; x₁, x₂, … by default.
      path: where to save the picture, by suffix; None for nowhere.

    Raises:
      ValueError: for another shape, or ranks outside 0, …, num_samples.
      ImportError: without matplotlib and scipy.

    >>> figure = plot_calibration(np.arange(100)[:, None], 99)
    >>> figure.axes[0].get_xlabel()
    'rank of $x_{1}$ among 99 samples'
    """
    ranks = _matrix("ranks", ranks)
    if ranks.min() < 0 or ranks.max() > num_samples:
        raise ValueError(f"`ranks` must lie in 0 to {num_samples}; they go from {ranks.min():g} to {ranks.max():g}.")
    m, d = ranks.shape
    labels = _names(names, d)
    panels = d + (credibility is not None)
    columns = min(panels, 4)
    rows = -(-panels // columns)
    figure = _figure(figsize=(3.4 * columns, 2.9 * rows), layout="constrained")
    for i, label in enumerate(labels):
        _draw_ranks(figure.add_subplot(rows, columns, i + 1), ranks[:, i], num_samples, label)
    if credibility is not None:
        levels = np.asarray(credibility, dtype=float)
        if levels.shape != (m,):
            raise ValueError(f"`credibility` must have shape [{m}], as there are {m} ranks; got {list(levels.shape)}.")
        if not ((levels >= 0) & (levels <= 1)).all():
            raise ValueError("`credibility` must lie in [0, 1].")
        _draw_coverage(figure.add_subplot(rows, columns, panels), levels)
    return _saved(figure, path)


def plot_corner(
    data: Any,
    samples: Any,
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
    *,
    max_columns: int = 7,
) -> Figure:
    """Marginals of one and of two columns, of the data and of a flow's samples, overlaid.

    Contours hold 39 % and 86 % of the mass, as 1σ and 2σ do of a normal distribution in
    two dimensions. The axes span the middle 99 % of the data.

    Args:
      data: [n, d], n > d.
      samples: [m, d], m > d; rows that are not finite are left out, and the legend says so.
      names: d column names; x₁, x₂, … by default.
      path: where to save the picture, by suffix; None for nowhere.
      max_columns: of more columns, the first so many are drawn, and the picture says so.

    Raises:
      ValueError: for arrays of other shapes, too few rows or names.
      ImportError: without matplotlib and corner.

    >>> rng = np.random.default_rng(0)
    >>> figure = plot_corner(rng.normal(size=[500, 3]), rng.normal(size=[500, 3]), ["a", "b", "c"])
    >>> len(figure.axes)
    9
    """
    data, samples = _matrix("data", data), _matrix("samples", samples)
    d = data.shape[1]
    if samples.shape[1] != d:
        raise ValueError(f"`samples` must have the {d} column(s) of `data`; it has {samples.shape[1]}.")
    shown = min(d, max_columns)
    labels = _names(names, d)
    finite = np.isfinite(samples).all(axis=1)
    ranges = [_range(column) for column in data.T[:shown]]
    data, drawn = data[:, :shown], samples[finite, :shown]
    if len(data) <= shown or len(drawn) <= shown:
        raise ValueError(
            f"{shown} columns need more rows than columns; got {len(data)} of data, {len(drawn)} of samples."
        )

    low, high = np.transpose(ranges)
    inside = ((drawn >= low) & (drawn <= high)).all(axis=1)
    # Bins for about a pixel's noise, the same for both: smoothing must widen both alike.
    bins = int(np.clip(0.5 * np.sqrt(min(len(data), len(drawn))), 15, 50))
    figure = _figure(figsize=(2.2 * shown + 1.0,) * 2)
    _overlay(figure, data, ranges, bins, labels[:shown], _DATA, histtype="stepfilled", alpha=0.35)
    if inside.any():
        _overlay(figure, drawn, ranges, bins, labels[:shown], _MODEL, histtype="step")
    _draw_dots(figure, data)
    note = "" if finite.all() else f", {(~finite).sum():,} more not finite"
    note += "" if inside.any() else ", none within these axes"
    legend = {f"data ({len(data):,} rows)": _DATA, f"flow ({len(drawn):,} samples{note})": _MODEL}
    _finish_corner(figure, shown, legend, f"the first {shown} of {d} columns" if shown < d else None)
    return _saved(figure, path)


def plot_density_2d(
    flow: Any | Callable[[np.ndarray], Any],
    ranges: Sequence[tuple[float, float]],
    data: Any = None,
    path: str | Path | None = None,
    *,
    names: Sequence[str] = ("$x_1$", "$x_2$"),
    points: int = 200,
) -> Figure:
    """The density of a distribution over two columns, data on top.

    Args:
      flow: an object with `log_prob`, or a function: [n, 2] → [n], in nats.
      ranges: (low, high) of each of the two axes.
      data: [n, 2] to draw on top; None for none.
      path: where to save the picture, by suffix; None for nowhere.
      names: of the two columns.
      points: of the grid, along each axis.

    Raises:
      ValueError: if `ranges` is not two increasing pairs, or `data` is not [n, 2].
      ImportError: without matplotlib.

    >>> normal = lambda x: -0.5 * (x**2).sum(-1) - np.log(2 * np.pi)
    >>> [axes.get_ylabel() for axes in plot_density_2d(normal, [(-3, 3), (-3, 3)], points=20).axes]
    ['$x_2$', 'density']
    """
    bounds = np.asarray(ranges, dtype=float)
    if bounds.shape != (2, 2) or not np.isfinite(bounds).all() or not (bounds[:, 0] < bounds[:, 1]).all():
        raise ValueError(f"`ranges` must be two pairs (low, high) with low < high; got {ranges!r}.")
    log_prob = getattr(flow, "log_prob", flow)
    x, y = (np.linspace(low, high, points, dtype=np.float32) for low, high in bounds)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    batches = np.array_split(grid, max(1, len(grid) // 10_000))
    density = np.exp(np.concatenate([np.asarray(log_prob(batch), dtype=float) for batch in batches]))
    figure = _figure(figsize=(6, 5))
    axes = figure.add_subplot()
    mesh = axes.pcolormesh(
        x, y, density.reshape(points, points), cmap="viridis", vmin=0.0, shading="gouraud", rasterized=True
    )
    figure.colorbar(mesh, ax=axes, label="density", pad=0.02).outline.set_visible(False)
    if data is not None:
        dots = _matrix("data", data)
        if dots.shape[1] != 2:
            raise ValueError(f"`data` must have shape [n, 2]; got {list(dots.shape)}.")
        dots = np.random.default_rng(0).permutation(dots)[:1_000]
        axes.plot(*dots.T, "o", color="white", markersize=1.6, markeredgewidth=0, alpha=0.7, label="data")
    axes.set(xlim=bounds[0], ylim=bounds[1], xlabel=names[0], ylabel=names[1])
    return _saved(figure, path)


def _figure(**kwargs: Any) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Pictures need matplotlib and corner: pip install 'tfp-nvp[plots]'") from error
    return Figure(**kwargs)


def _draw_ranks(axes: Axes, ranks: np.ndarray, num_samples: int, label: str) -> None:
    """A histogram whose bins are equally many ranks wide, as nearly as can be."""
    m = len(ranks)
    bins = int(np.clip(m // 20, 2, min(20, num_samples + 1)))
    edges = np.unique(np.round(np.linspace(0, num_samples + 1, bins + 1)))
    share = np.diff(edges) / (num_samples + 1)
    low, high = _binomial_band(m, share)
    axes.fill_between(edges, np.append(low, low[-1]), np.append(high, high[-1]), step="post", color="#dddddd", lw=0)
    counts, _ = np.histogram(ranks, edges)
    axes.stairs(counts, edges, color=_DATA, linewidth=1.6)
    axes.set(xlabel=f"rank of {label} among {num_samples} samples", ylabel="rows", xlim=(0, num_samples + 1))
    axes.set_ylim(0, 1.15 * max(counts.max(), high.max()))
    _tidy(axes)


def _draw_coverage(axes: Axes, credibility: np.ndarray) -> None:
    levels = np.linspace(0.0, 1.0, 101)
    coverage = np.searchsorted(np.sort(credibility), levels, side="right") / len(credibility)
    low, high = _binomial_band(len(credibility), levels)
    axes.fill_between(levels, low / len(credibility), high / len(credibility), color="#dddddd", lw=0)
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
    axes.plot(levels, coverage, color=_DATA, linewidth=1.6)
    axes.set(xlabel="mass of the region", ylabel="share of rows within", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    _tidy(axes)


def _binomial_band(rows: int, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Between which counts 95 of 100 draws lie."""
    try:
        from scipy.stats import binom
    except ImportError as error:
        raise ImportError("Calibration plots need scipy: pip install 'tfp-nvp[plots]'") from error
    return binom.ppf(0.025, rows, share), binom.ppf(0.975, rows, share)


def _overlay(
    figure: Figure,
    values: np.ndarray,
    ranges: Sequence[tuple[float, float]],
    bins: int,
    labels: list[str],
    color: str,
    **histogram: Any,
) -> None:
    """One more set of rows on a corner plot."""
    try:
        import corner
    except ImportError as error:
        raise ImportError("Corner plots need corner: pip install 'tfp-nvp[plots]'") from error
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
    """The data themselves, under the contours."""
    d = data.shape[1]
    dots = np.random.default_rng(0).permutation(data)[:_MAX_POINTS]
    size = float(np.clip(60.0 / np.sqrt(len(dots)), 0.8, 2.5))
    style = {"color": _DATA, "markersize": size, "markeredgewidth": 0, "alpha": 0.4, "zorder": 0, "rasterized": True}
    for row in range(1, d):
        for column in range(row):
            figure.axes[row * d + column].plot(dots[:, column], dots[:, row], "o", **style)


def _finish_corner(figure: Figure, columns: int, legend: Mapping[str, str], title: str | None) -> None:
    from matplotlib.lines import Line2D

    for i, panel in enumerate(figure.axes):
        panel.tick_params(labelsize=8, length=3, color=_INK)
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
    """The middle 99 % and a little air; never empty."""
    low, high = np.percentile(column, [0.5, 99.5])
    if not low < high:
        low, high = float(column.min()), float(column.max())
    margin = 0.08 * (high - low) or 0.5 * max(abs(low), 1.0)
    return float(low - margin), float(high + margin)


def _limit_to_the_tail(axes: Axes, values: np.ndarray) -> None:
    """Keeps a first, huge epoch from flattening all the others."""
    values = values[np.isfinite(values)]
    if values.size < 20:
        return
    low, middle, high = np.percentile(values, [0, 75, 100])
    if high - low > 10 * (middle - low) > 0:
        axes.set_ylim(low - 0.2 * (middle - low), low + 6 * (middle - low))


def _names(names: Sequence[str] | None, d: int) -> list[str]:
    if names is None:
        return [f"$x_{{{i + 1}}}$" for i in range(d)]
    if len(names) != d:
        raise ValueError(f"`names` must name the {d} column(s); it names {len(names)}.")
    return [str(name) for name in names]


def _matrix(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value, dtype=float)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"`{name}` must have shape [n, d]; got {list(array.shape)}.")
    return array


def _tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _saved(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        figure.savefig(path, dpi=_DPI, bbox_inches="tight")
    return figure
