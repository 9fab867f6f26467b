"""Finds columns that are linear functions of others: such rows lie in a plane, where no density exists."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tfp_nvp import tables
from tfp_nvp._warnings import warn
from tfp_nvp.training._models.moments import moments, robust_moments
from tfp_nvp.training._models.standardize import HEAVY

#: A residual below so many rounding errors of the columns that it is of is nothing but rounding: a rounded number is
#: off by 0.3 ulp on average (half of them are above), and the sum of a hundred rounded ones by 3.
_ROUNDINGS = 4.0
#: Relations of a message, and terms of a relation, before "…".
_SHOWN = 3
#: Evenly spaced rows that are looked at, at most.
_ROWS = 50_000
#: Rows that occur so often on average are all that there are.
_REPEATS = 10
#: Terms of a relation that are left out one by one to see whether it needs them, at most.
_MOST_TRIED = 30


class Relation(NamedTuple):
    """Column `of` = Σ coefficients · columns `terms` + constant, up to rounding; no term can be left out."""

    of: int
    terms: tuple[int, ...]
    coefficients: tuple[float, ...]
    constant: float

    def shown(self, labels: list[str]) -> str:
        """The relation as an equation."""
        text = labels[self.of]
        for i, coefficient in zip(self.terms[:8], self.coefficients, strict=False):
            sign = "-" if coefficient < 0 else "+" if text != labels[self.of] else ""
            size = "" if abs(abs(coefficient) - 1.0) < 1e-4 else f"{abs(coefficient):.4g} · "
            text += f" {'=' if text == labels[self.of] else ''} {sign} {size}{labels[i]}"
        text += " + …" if len(self.terms) > 8 else ""
        text += f" {'-' if self.constant < 0 else '+'} {abs(self.constant):.4g}" if self.constant else ""
        return " ".join(text.split())


def check_independent(
    x: np.ndarray,
    condition: np.ndarray | None,
    step: np.ndarray,
    names: tuple[str, ...] | None = None,
    condition_names: tuple[str, ...] | None = None,
    dtype: Any = "float32",
) -> None:
    """Refuses columns of x that are linear functions of other ones and of the condition, within rounding to `dtype`.

    Where a column of the relation lies on a grid, the noise that is added to it gives a density after all: a warning.

    Args:
      x: [n, d] without constant columns.
      condition: [n, k] or None.
      step: [d], the steps of grid columns, 0 for others.
      names, condition_names: of the columns, for messages.
      dtype: of the flow.

    Raises:
      ValueError: with the relations.
    """
    k = 0 if condition is None else condition.shape[1]
    table = x if condition is None else np.concatenate([condition, x], axis=1)
    relations = linear_relations(table, float(np.finfo(dtype).eps), first=k)
    if not relations:
        return
    labels = [f"condition {tables.label(condition_names, i)}" for i in range(k)]
    labels += [tables.label(names, i) if names else f"column {i}" for i in range(x.shape[1])]
    noisy = np.append(np.zeros(k), step) > 0
    exact = [relation for relation in relations if not noisy[[relation.of, *relation.terms]].any()]
    shown = "; ".join(relation.shown(labels) for relation in (exact or relations)[:_SHOWN])
    shown += "; …" if len(exact or relations) > _SHOWN else ""
    if exact:
        raise ValueError(
            f"`x` has linearly dependent columns, so that its rows have no density: {shown}. This holds up to rounding "
            f"in {np.dtype(dtype)}, outliers apart. Leave out one column of each equation; it follows from the others."
        )
    warn(
        f"`x` has linearly dependent columns: {shown}. Only the noise that is added to grid columns gives them a "
        "density, and samples keep the equation no better than that. Leave one of these columns out."
    )


def linear_relations(table: np.ndarray, eps: float, first: int = 0) -> list[Relation]:
    """The relations of each column from the `first` on with columns before it.

    Columns that depend on earlier ones are set aside. The others are independent, so the coefficients are unique, and
    those that are not 0 name the only minimal dependent set with the column.

    Relations are sought in rows that are no outliers, as a few enormous values would hide all else. n different rows
    always lie in a plane of n − 1 dimensions: of so few, only pairs of columns are compared, unless each is repeated
    so often that there are no others (one-hot columns).

    Args:
      table: [n, d].
      eps: the relative size of rounding errors.
      first: the columns before it are not asked about.
    """
    every = table[:: -(-len(table) // _ROWS)]
    for rows in (_ordinary(every), every):
        varying = np.flatnonzero(rows.max(axis=0) > rows.min(axis=0))
        if len(rows) <= len(varying):
            continue
        relations = _relations(rows, varying, eps, first)
        different = len(np.unique(rows, axis=0)) if relations else 0
        if not relations or different > len(varying) or len(rows) > _REPEATS * different:
            return relations
    return _relations(every, np.flatnonzero(every.max(axis=0) > every.min(axis=0)), eps, first, pairs=True)


def _relations(rows: np.ndarray, varying: np.ndarray, eps: float, first: int, pairs: bool = False) -> list[Relation]:
    mean = rows.mean(axis=0)
    spread = moments(rows - mean)[1]
    z = (rows[:, varying] - mean[varying]) / spread[varying]
    z = z / np.sqrt(len(rows))
    if not pairs:
        z = np.asarray(np.linalg.qr(z, mode="r"))  # of the same residuals
    rounding = _ROUNDINGS * eps * np.sqrt(1.0 + (mean[varying] / spread[varying]) ** 2)
    relations: list[Relation] = []
    kept: list[int] = []
    basis = np.zeros([len(z), len(varying)])  # orthonormal, of the kept columns
    for j, column in enumerate(varying):
        circuit: dict[int, float] | None = None
        if pairs:
            near = [i for i in kept if abs(z[:, i] @ z[:, j]) > 0.9] if column >= first else []
            circuits = (_circuit(z, j, [i], rounding) for i in near)
            circuit = next((found for found in circuits if found), None)
        else:
            rest = z[:, j]
            for _ in range(2):  # the second time for what rounding left
                rest = rest - basis @ (basis.T @ rest)
            size = np.linalg.norm(rest)
            if size < 0.5:
                circuit = _circuit(z, j, kept, rounding)
            if circuit is None:
                basis[:, len(kept)] = rest / size
        if circuit is None:
            kept.append(j)
        elif column >= first:
            terms = tuple(int(varying[i]) for i in circuit)
            weights = [weight * spread[column] / spread[i] for weight, i in zip(circuit.values(), terms, strict=True)]
            parts = np.array([mean[column], *(-weight * mean[i] for weight, i in zip(weights, terms, strict=True))])
            noise = 1e-5 * (np.abs(parts).max() + spread[column])
            constant = parts.sum() if abs(parts.sum()) > noise else 0.0
            relations.append(Relation(int(column), terms, tuple(map(float, weights)), float(constant)))
    return relations


def _circuit(z: np.ndarray, j: int, kept: list[int], rounding: np.ndarray) -> dict[int, float] | None:
    """Weights of the fewest kept columns of z that sum to column j up to rounding; None if there are none."""

    def solve(columns: list[int]) -> np.ndarray | None:
        weights = np.linalg.lstsq(z[:, columns], z[:, j], rcond=None)[0]
        residual = np.linalg.norm(z[:, j] - z[:, columns] @ weights)
        return weights if residual < np.hypot(rounding[j], np.linalg.norm(weights * rounding[columns])) else None

    weights = solve(kept)
    if weights is None:
        return None
    large = [i for i, weight in zip(kept, weights, strict=True) if abs(weight) > 1e-3]
    kept = large if large and solve(large) is not None else kept
    for i in kept if len(kept) <= _MOST_TRIED else []:  # nearly dependent columns may share a weight
        fewer = [other for other in kept if other != i]
        if fewer and solve(fewer) is not None:
            kept = fewer
    final = solve(kept)
    return None if final is None else dict(zip(kept, final, strict=True))


def _ordinary(table: np.ndarray) -> np.ndarray:
    """The rows within `HEAVY` robust deviations of the median in every column, and at least half of all."""
    median, scale = robust_moments(table)
    distance = (np.abs(table - median) / np.where(scale > 0, scale, np.inf)).max(axis=1)
    return table[distance <= max(HEAVY, np.median(distance))]
