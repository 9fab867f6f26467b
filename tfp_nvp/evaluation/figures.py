"""Helpers of the plots.

Every plot is a new `matplotlib.figure.Figure`, saved if there is a `path`; pyplot's state does not change.
Notebooks display the returned figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp import tables
from tfp_nvp._extras import install

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of data, of a model and of all else; colour-blind readers can distinguish the blue and the orange.
DATA, MODEL, INK = "#31688e", "#d95f02", "#444444"
_DPI = 120


def new_figure(**kwargs: Any) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"Pictures need matplotlib and corner: {install('plots')}") from error
    return Figure(**kwargs)


def tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def saved(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        figure.savefig(path, dpi=_DPI, bbox_inches="tight")
    return figure


def matrix(name: str, value: Any) -> np.ndarray:
    array = np.asarray(tables.read(name, value).values, dtype=float)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"`{name}` must have shape [n, d]; got {list(array.shape)}.")
    return array


def names_of(names: Sequence[str] | None, d: int, *frames: Any) -> list[str]:
    """`names`, or else those of the first of `frames` that has some, or else x₁, x₂, …"""
    names = names if names is not None else next(filter(None, map(tables.columns_of, frames)), None)
    if names is None:
        return [f"$x_{{{i + 1}}}$" for i in range(d)]
    if len(names) != d:
        raise ValueError(f"`names` must name the {d} column(s); it names {len(names)}.")
    return [str(name) for name in names]
