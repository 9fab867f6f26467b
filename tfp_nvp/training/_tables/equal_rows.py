"""Finds the rows of a table that occur more than once."""

from __future__ import annotations

import numpy as np

from tfp_nvp._grids import grid_step

#: Repeats count as chance while there are no more than this many times those of independent grid columns.
BY_CHANCE = 10.0
#: A value, or a row, that is more than this fraction of all is an atom.
ATOM = 0.05


def equal_rows(*tables: np.ndarray | None) -> np.ndarray | None:
    """Numbers [n] that are equal for equal rows of the tables [n, ...] side by side.

    Returns None if no row is repeated, or if the repeats are what columns of few values make by chance: independent
    columns j with values of frequency f would have n (n − 1) / 2 · Π_j Σ f² equal pairs of rows, where of a column
    that is on no grid only atoms count.
    """
    table = np.concatenate([t for t in tables if t is not None], axis=1)
    _, numbers, counts = np.unique(_hashes(table), return_inverse=True, return_counts=True)
    pairs = (counts * (counts - 1.0)).sum()
    if not pairs or pairs <= BY_CHANCE * len(table) * (len(table) - 1.0) * _chance_of_equal_rows(table):
        return None
    return numbers.reshape(-1)


def _chance_of_equal_rows(table: np.ndarray) -> float:
    """The chance that two rows are equal if the columns are independent; 0 if a column is continuous."""
    chance = 1.0
    for column in table.T:
        share = np.unique(column, return_counts=True)[1] / len(column)
        chance *= np.square(share if grid_step(column) else share[share > ATOM]).sum()
    return float(chance)


def _hashes(table: np.ndarray) -> np.ndarray:
    """64 bits for each row, in one pass; of a million different rows, some two are equal by a chance of 3e-8."""
    hashes = np.zeros(len(table), np.uint64)
    for column in table.T:
        hashes ^= np.ascontiguousarray(column + 0.0).view(np.uint64)  # −0 is 0
        # The mixing of splitmix64; Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators".
        hashes += np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            hashes = (hashes ^ (hashes >> np.uint64(shift))) * np.uint64(factor)
    return hashes
