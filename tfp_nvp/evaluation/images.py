"""Arranges many images in one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp import checks
from tfp_nvp.evaluation.figures import new_figure, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sheet(images: Any, *, levels: int | None = None, columns: int | None = None, gap: int = 1) -> np.ndarray:
    """Arranges images in rows, with light lines between: uint8 [H, W, c].

    Args:
      images: [n, h, w, c], c = 1 or 3, n at least 1: integers from 0 to `levels` − 1, or numbers in [0, 1].
        Values outside are clipped.
      levels: number of grey levels of integers; None for numbers in [0, 1].
      columns: images in a row; by default for a square.
      gap: width of the lines, in pixels.

    Raises:
      ValueError: for another shape.

    >>> sheet(np.zeros([5, 4, 4, 1]), columns=3).shape
    (9, 14, 1)
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise ValueError(f"`images` must have shape [n, h, w, 1] or [n, h, w, 3]; got {list(images.shape)}.")
    gap = checks.integer("gap", gap, 0)
    n, h, w, c = images.shape
    columns = int(np.ceil(np.sqrt(n))) if columns is None else checks.integer("columns", columns, 1)
    grey = np.clip(images / (1.0 if levels is None else levels - 1.0), 0.0, 1.0)
    rows = -(-n // columns)
    cells = np.ones((rows * columns, h + gap, w + gap, c))
    cells[:n, :h, :w] = grey
    joined = cells.reshape(rows, columns, h + gap, w + gap, c).swapaxes(1, 2).reshape(rows * (h + gap), -1, c)
    return np.round(255.0 * joined[: rows * (h + gap) - gap, : columns * (w + gap) - gap]).astype(np.uint8)


def plot_images(
    rows: Mapping[str, Any], path: str | Path | None = None, *, levels: int | None = None, title: str | None = None
) -> Figure:
    """Plots rows of images with names, such as samples at several temperatures or an interpolation.

    Args:
      rows: images [n, h, w, c] by name; all of one n and shape.
      path: file for the picture, or None.
      levels: as for `sheet`.
      title: above the picture.

    Raises:
      ValueError: if there is no row, or they differ in shape.
      ImportError: without matplotlib.

    >>> plot_images({"black": np.zeros([3, 4, 4, 1])}).axes[0].get_ylabel()
    'black'
    """
    arrays = {name: np.asarray(images) for name, images in rows.items()}
    if len({array.shape for array in arrays.values()}) != 1:
        shapes = {name: list(array.shape) for name, array in arrays.items()}
        raise ValueError(f"`rows` must hold images of one number and shape; got {shapes}.")
    shape = next(iter(arrays.values())).shape
    if len(shape) != 4:
        raise ValueError(f"`rows` must hold images [n, h, w, c]; got {list(shape)}.")
    count, height, width, _ = shape
    cell = 0.55
    figure = new_figure(figsize=(cell * count + 1.2, cell * height / width * len(arrays) + 0.3), layout="constrained")
    for axes, (name, array) in zip(np.ravel(figure.subplots(len(arrays))), arrays.items(), strict=True):
        picture = sheet(array, levels=levels, columns=count)
        axes.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
    if title is not None:
        figure.suptitle(title)
    return saved(figure, path)
