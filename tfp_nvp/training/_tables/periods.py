"""Periodic columns of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_nvp import tables


def parse_periods(periodic: Any, d: int, names: tuple[str, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The ends (low [d], high [d]) of the periods of columns, ±inf of those that are not periodic.

    Args:
      periodic: None; a pair (low, high) of numbers, for all columns; a list of d of such pairs or None; or a dict of
        pairs by the names or the numbers of columns.
      d: number of columns.
      names: of the columns, or None.

    Raises:
      TypeError, ValueError: for anything else, unknown columns, or ends that are not finite or not in order.
    """
    low, high = np.full(d, -np.inf), np.full(d, np.inf)
    for column, pair in _pairs(periodic, d, names).items():
        if pair is None:
            continue
        label = tables.label(names, column)
        try:
            ends = np.asarray(pair, np.float64)
        except (TypeError, ValueError):
            ends = np.zeros(0)
        if ends.shape != (2,):
            raise TypeError(f"`periodic` must give a pair (low, high) of numbers; got {pair!r} for column {label}.")
        if not np.isfinite(ends).all() or ends[0] >= ends[1]:
            raise ValueError(
                f"`periodic` must give finite ends with low below high, which are one point, such as (0, 24) for "
                f"hours; got {pair!r} for column {label}."
            )
        low[column], high[column] = ends
    return low, high


def _pairs(periodic: Any, d: int, names: tuple[str, ...] | None) -> dict[int, Any]:
    """Pairs, or None, by the numbers of columns."""
    if periodic is None:
        return {}
    if isinstance(periodic, Mapping):
        return {tables.column_number("periodic", column, d, names): pair for column, pair in periodic.items()}
    if (
        isinstance(periodic, list)
        and len(periodic) == d
        and all(np.ndim(pair) == 1 or pair is None for pair in periodic)
    ):
        return dict(enumerate(periodic))
    if isinstance(periodic, (tuple, list)) and len(periodic) == 2 and all(np.ndim(end) == 0 for end in periodic):
        return dict.fromkeys(range(d), periodic)
    raise TypeError(
        "`periodic` must be a dict of pairs (low, high) by the names or numbers of columns, a list with a pair or None "
        f"for each of {d} columns, or one pair of numbers for all; got {periodic!r}."
    )
