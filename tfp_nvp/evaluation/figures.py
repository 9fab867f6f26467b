"""What pictures share.

Every function that draws returns a `matplotlib.figure.Figure` of its own, saves it if given a `path`,
and leaves pyplot's state and display alone. In a notebook the figure shows itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Of data and of a model, blue and orange that colour-blind eyes tell apart; and of all else.
DATA, MODEL, INK = "#31688e", "#d95f02", "#444444"
_DPI = 120


def new_figure(**kwargs: Any) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Pictures need matplotlib and corner: pip install 'tfp-nvp[plots]'") from error
    return Figure(**kwargs)


def tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def saved(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        figure.savefig(path, dpi=_DPI, bbox_inches="tight")
    return figure


def matrix(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value, dtype=float)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"`{name}` must have shape [n, d]; got {list(array.shape)}.")
    return array


def names_of(names: Sequence[str] | None, d: int) -> list[str]:
    if names is None:
        return [f"$x_{{{i + 1}}}$" for i in range(d)]
    if len(names) != d:
        raise ValueError(f"`names` must name the {d} column(s); it names {len(names)}.")
    return [str(name) for name in names]
