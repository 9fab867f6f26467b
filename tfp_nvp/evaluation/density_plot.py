"""Plots a density in two dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp.evaluation.figures import matrix, names_of, new_figure, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_density_2d(
    flow: Any | Callable[[np.ndarray], Any],
    ranges: Sequence[tuple[float, float]],
    data: Any = None,
    path: str | Path | None = None,
    *,
    names: Sequence[str] | None = None,
    points: int = 200,
) -> Figure:
    """Plots the density of a distribution over two columns, with data on top.

    Args:
      flow: an object with `log_prob`, or a function: [n, 2] → [n], in nats.
      ranges: (low, high) of each of the two axes.
      data: [n, 2] to draw on top, or None.
      path: file for the picture, or None.
      names: of the two columns; by default those that the model was fitted to or of a frame, else x₁, x₂.
      points: grid points along each axis.

    Raises:
      ValueError: if `ranges` is not two increasing pairs, or `data` is not [n, 2].
      ImportError: without matplotlib.

    >>> normal = lambda x: -0.5 * (x**2).sum(-1) - np.log(2 * np.pi)
    >>> [axes.get_ylabel() for axes in plot_density_2d(normal, [(-3, 3), (-3, 3)], points=20).axes]
    ['$x_{2}$', 'density']
    """
    bounds = np.asarray(ranges, dtype=float)
    if bounds.shape != (2, 2) or not np.isfinite(bounds).all() or not (bounds[:, 0] < bounds[:, 1]).all():
        raise ValueError(f"`ranges` must be two pairs (low, high) with low < high; got {ranges!r}.")
    log_prob = getattr(flow, "log_prob", flow)
    labels = names_of(names or getattr(getattr(flow, "schema", None), "columns", None), 2, data)
    x, y = (np.linspace(low, high, points, dtype=np.float32) for low, high in bounds)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    batches = np.array_split(grid, max(1, len(grid) // 10_000))
    density = np.exp(np.concatenate([np.asarray(log_prob(batch), dtype=float) for batch in batches]))
    figure = new_figure(figsize=(6, 5))
    axes = figure.add_subplot()
    mesh = axes.pcolormesh(
        x, y, density.reshape(points, points), cmap="viridis", vmin=0.0, shading="gouraud", rasterized=True
    )
    figure.colorbar(mesh, ax=axes, label="density", pad=0.02).outline.set_visible(False)
    if data is not None:
        dots = matrix("data", data)
        if dots.shape[1] != 2:
            raise ValueError(f"`data` must have shape [n, 2]; got {list(dots.shape)}.")
        dots = np.random.default_rng(0).permutation(dots)[:1_000]
        axes.plot(*dots.T, "o", color="white", markersize=1.6, markeredgewidth=0, alpha=0.7, label="data")
    axes.set(xlim=bounds[0], ylim=bounds[1], xlabel=labels[0], ylabel=labels[1])
    return saved(figure, path)
