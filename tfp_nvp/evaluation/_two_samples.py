"""Two tables of the same columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfp_nvp import tables
from tfp_nvp.evaluation.figures import matrix


def standardized_pair(
    name: str, reference: Any, other_name: str, other: Any, *, least: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Two tables [n, d] and [m, d], standardized with the mean and the deviation of the first one's columns.

    Raises:
      TypeError, ValueError: if they are no tables of finite numbers of the same columns, with `least` rows or more.
    """
    first, second = matrix(name, reference), matrix(other_name, other)
    names, others = tables.columns_of(reference), tables.columns_of(other)
    if names is not None and others is not None:
        if set(names) != set(others):
            raise ValueError(
                f"`{other_name}` must have the columns of `{name}`, {tables.quoted(names, 20)}; it has "
                f"{tables.quoted(others, 20)}."
            )
        second = second[:, [others.index(column) for column in names]]
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"`{other_name}` must have the {first.shape[1]} column(s) of `{name}`; it has {second.shape[1]}."
        )
    for key, table in ((name, first), (other_name, second)):
        tables.check_finite("Values", key, table, names)
        if len(table) < least:
            raise ValueError(f"`{key}` must have at least {least} rows; it has {len(table)}.")
    center, scale = first.mean(axis=0), first.std(axis=0, ddof=1)
    scale = np.where(scale > 0.0, scale, 1.0)
    return (first - center) / scale, (second - center) / scale
