"""Splits a table into the rows that are trained on and those that decide when to stop."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfp_nvp import checks
from tfp_nvp._warnings import warn
from tfp_nvp.training._tables.columns import MIN_ROWS
from tfp_nvp.training._tables.equal_rows import ATOM, equal_rows
from tfp_nvp.training._tables.part import Part

#: No more rows are held out: their mean is exact enough.
MOST_HELD_OUT = 50_000
#: A warning says that rows are repeated if more than this fraction are: as many float32 numbers are equal by chance.
MANY = 0.2


def split(
    table: Part, *, fraction: float | None, validation_data: Any, seed: int, find_equal: bool = True
) -> tuple[Part, Part]:
    """Training rows and validation rows.

    Rows of one group are on one side. Without groups equal rows are, but for atoms, and for those of columns of few
    values, which are equal by chance. A warning says how many rows are on both sides all the same.

    Args:
      table: all rows, or the training rows if there are `validation_data`.
      fraction: of the rows, to hold out; None for the default.
      validation_data: a table, or a tuple (x, condition, sample_weight) whose last parts may be missing; None to split.
      seed: of the split.
      find_equal: whether equal rows are looked for; in a table of few values they are usual, and no sign of repeats.

    Raises:
      TypeError, ValueError: if too few rows are left, or the validation data don't go with the table.
    """
    if len(table) < MIN_ROWS:
        raise ValueError(f"`x` must have at least {MIN_ROWS} rows to fit and validate on; it has {len(table)}.")
    if table.effective_rows < MIN_ROWS / 2:
        raise ValueError(
            f"`sample_weight` must spread over the rows: these weigh as {table.effective_rows:.1f} rows of equal "
            f"weight, (Σw)² / Σw², and a fit needs at least {MIN_ROWS // 2}. Cut off the largest weights."
        )
    if validation_data is not None:
        held_out = _given(table, validation_data, fraction)
        both = _stacked(table.x, held_out.x), _stacked(table.condition, held_out.condition)
        equal = equal_rows(*both) if find_equal else None
        if equal is not None:
            _warn_of_equal_rows(equal, np.arange(len(equal)) >= len(table), repeated=False)
        return table, held_out
    count = _held_out_rows(len(table), fraction)
    equal = equal_rows(table.x, table.condition) if find_equal else None
    groups = table.group if equal is None or table.group is not None else _without_atoms(equal)
    order = np.random.default_rng(seed).permutation(len(table))
    held = np.zeros(len(table), bool)
    if groups is None:
        held[order[:count]] = True
    else:
        held = _some_groups(groups, count, seed)
    if equal is not None:
        _warn_of_equal_rows(equal, held)
    return table.take(order[~held[order]]), table.take(order[held[order]])


def folds(table: Part, count: int, seed: int) -> np.ndarray:
    """Numbers [n] from 0 to `count` − 1 of about equally many rows each; rows of one group, and equal rows, in one.

    Raises:
      ValueError: if a fold would be left with too few rows.
    """
    equal = equal_rows(table.x, table.condition)
    groups = table.group if equal is None or table.group is not None else _without_atoms(equal)
    labels = np.arange(len(table)) if groups is None else groups
    _, numbers, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    fold, filled = np.empty(len(sizes), int), np.zeros(count)
    order = np.random.default_rng(seed).permutation(len(sizes))
    for group in order[np.argsort(-sizes[order], kind="stable")]:  # the largest first
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    if filled.min() < MIN_ROWS // 4 or len(table) - filled.max() < MIN_ROWS // 2:
        raise ValueError(
            f"`members` must leave each fold at least {MIN_ROWS // 4} rows, and the others {MIN_ROWS // 2}; {count} "
            f"folds of {len(table)} rows in {len(sizes)} group(s) have {filled.astype(int).tolist()}. Lower it."
        )
    return fold[numbers.reshape(-1)]


def _held_out_rows(rows: int, fraction: float | None) -> int:
    if fraction is None:
        fraction = 0.2 if rows < 5_000 else 0.1
    else:  # above 0: the best weights are chosen on held-out rows
        fraction = checks.number("validation_split", fraction, checks.INNER_FRACTION)
    held_out = min(max(MIN_ROWS // 4, round(fraction * rows)), MOST_HELD_OUT)
    if rows - held_out < MIN_ROWS // 2:
        raise ValueError(f"`validation_split` leaves {rows - held_out} of {rows} rows to train on; lower it.")
    return held_out


def _given(table: Part, validation_data: Any, fraction: float | None) -> Part:
    """The validation rows that were given, checked against the training rows."""
    if fraction is not None or table.group is not None:
        name = "groups" if fraction is None else "validation_split"
        raise ValueError(
            f"`{name}` splits the rows of `x`, and `validation_data` replaces the split: give one of them."
        )
    given = validation_data if isinstance(validation_data, tuple) else (validation_data,)
    if not 1 <= len(given) <= 3:
        raise ValueError(
            "`validation_data` must be a table x, or a tuple (x, condition) or (x, condition, sample_weight); "
            f"got a tuple of {len(given)}."
        )
    if (table.condition is None) != (len(given) < 2 or given[1] is None):
        wanted = "a table x, as there is no `condition`" if table.condition is None else "a tuple (x, condition)"
        raise ValueError(f"`validation_data` must be {wanted}; got {len(given)} part(s).")
    held_out = Part.of(*given, name="validation_data", like=table)
    for name, ours, theirs in (("x", table.x, held_out.x), ("condition", table.condition, held_out.condition)):
        if ours is not None and theirs is not None and ours.shape[1] != theirs.shape[1]:
            raise ValueError(
                f"`validation_data` must have the columns of the training data; its {name} has {theirs.shape[1]}, "
                f"and `{name}` has {ours.shape[1]}."
            )
    return held_out


def _stacked(ours: np.ndarray | None, theirs: np.ndarray | None) -> np.ndarray | None:
    return None if ours is None or theirs is None else np.concatenate([ours, theirs])


def _without_atoms(equal: np.ndarray) -> np.ndarray:
    """Equal rows as groups, where each row of an atom is a group of its own."""
    atoms = np.bincount(equal)[equal] > ATOM * len(equal)
    return np.where(atoms, len(equal) + np.arange(len(equal)), equal)


def _some_groups(groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Whether each row is held out [n]: groups in random order, while they have no more than `count` rows."""
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    chosen = np.zeros(len(sizes), bool)
    room = count
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        if sizes[group] <= room:
            chosen[group] = True
            room -= sizes[group]
    if count - room < MIN_ROWS // 4:  # the groups are larger than what was asked for
        chosen[np.where(chosen, len(groups), sizes).argmin()] = True
    held = chosen[numbers.reshape(-1)]
    if held.sum() < MIN_ROWS // 4 or (~held).sum() < MIN_ROWS // 2:
        raise ValueError(
            f"`groups` must leave rows to train and rows to validate on: the {len(sizes)} group(s), of {sizes.min()} "
            f"to {sizes.max()} rows, come to {(~held).sum()} and {held.sum()}. Give smaller groups, or "
            "`validation_data`."
        )
    return held


def _warn_of_equal_rows(equal: np.ndarray, held: np.ndarray, *, repeated: bool = True) -> None:
    """Warns of rows that are in both parts or, if none is and `repeated`, of many rows that are in one part twice."""
    in_both = np.isin(equal, equal[held]) & np.isin(equal, equal[~held])
    many = (np.bincount(equal)[equal] > 1).mean()
    if in_both[held].any():
        warn(
            f"{in_both[held].sum()} of {held.sum()} validation rows ({in_both[held].mean():.0%}) occur among the "
            "training rows too. The validation likelihood is that of rows the model has seen, and says nothing of new "
            "ones. Keep repeated or related rows on one side with `groups=`, drop the repeats, or give "
            "`validation_data=` without them."
        )
    elif repeated and many > MANY:
        warn(
            f"{many:.0%} of the rows occur more than once. Equal rows are kept on one side of the validation split; "
            "if the rows were resampled, rows that are only related stay together with `groups=`, and weights "
            "(`sample_weight=`) tell more than repeats."
        )
