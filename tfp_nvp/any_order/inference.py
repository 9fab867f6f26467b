"""Infers from its cells what a column is."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from tfp_nvp._grids import grid_step
from tfp_nvp.any_order.category import Boolean, Category, Ordinal
from tfp_nvp.any_order.column import Column
from tfp_nvp.any_order.date import Date
from tfp_nvp.any_order.frames import missing, numbers_of
from tfp_nvp.any_order.line import location_and_scale, skewness
from tfp_nvp.any_order.number import AtomReal, Count, Integer, Positive, Real

#: Numbers of at most so many values get a softmax: a table of settings, codes, grades.
_FEW = 24
#: A value repeats by itself, and is an atom, from this share of the known cells on.
_OFTEN = 0.05
#: ... and from so many cells on: of fewer, a softmax learns less than a density does (iris: .25 nats a row).
_LEAST = 20
#: ... and if it is so many times as frequent as the values next to it: those of a smooth distribution are no atoms.
_AS_NEIGHBOURS = 3.0
#: Text of more values than this share of its cells identifies rows.
_IDENTIFIES = 0.5
#: ... if it has at least so many values.
_MANY = 50
#: Rounded numbers are a grid where no more than this share of them are different.
_REPEAT = 0.9
#: A grid of smaller steps, in robust standard deviations, is none: no density is as narrow.
_FINE = 1e-4
#: Numbers are skewed from this `skewness` on; an exponential distribution has 0.63.
_SKEWED = 0.3
#: Rounded numbers have at most so many digits after the point.
_DIGITS = 6


def inferred(name: str, series: Any) -> Column | None:
    """The type of a column; None for text that identifies rows.

        bool, or objects that are True and False           Boolean
        datetime64                                         Date
        categorical dtype                                  Ordinal if it has an order, else Category
        text and other labels                              Category
        numbers of one or two values                       Category
        whole numbers                                      Count if none is below 0, else Integer
        numbers on a grid, or of few digits, that repeat   Real(step=...)
        other numbers with values that occur often         AtomReal
        positive numbers, far more symmetric as logarithms  Positive
        other numbers                                      Real

    Numbers of a few values that mostly repeat, and values that are 5 % of a column or more and three times as
    frequent as their neighbours, become `atoms`.

    Raises:
      TypeError: for columns of times, complex numbers, lists and other objects.
      ValueError: if all cells are missing, or text is mostly numbers.
    """
    import pandas as pd

    known = series[~missing(series)]
    if not len(known):
        raise ValueError(f"Column {name!r} must have a value in some row; all cells are missing. Leave it out.")
    if isinstance(series.dtype, pd.CategoricalDtype):
        return (Ordinal if series.cat.ordered else Category)().completed(name, series)
    if series.dtype.kind == "M":
        return Date().completed(name, series)
    if series.dtype.kind in "mc" or isinstance(series.dtype, pd.PeriodDtype | pd.IntervalDtype):
        way = (
            f"numbers, df[{name!r}].dt.total_seconds()" if series.dtype.kind == "m" else "one of those, or leave it out"
        )
        raise TypeError(
            f"Column {name!r} must hold numbers, text, categories, booleans or dates; it holds {series.dtype}. "
            f"Convert it to {way}."
        )
    if pd.api.types.is_bool_dtype(series.dtype) or all(isinstance(value, (bool, np.bool_)) for value in known[:1_000]):
        return Boolean().completed(name, series)
    if not pd.api.types.is_numeric_dtype(series.dtype) and not _are_numbers(known):
        return _of_labels(name, series, known)
    column = _of_numbers(numbers_of(name, known))
    if isinstance(column, Category) and series.dtype == object:  # such as `decimal.Decimal`, which is no label
        column = AtomReal(atoms=tuple(np.unique(numbers_of(name, known))))
    return column.completed(name, series)


def _of_labels(name: str, series: Any, known: Any) -> Column | None:
    import pandas as pd

    odd = next((value for value in known[:1_000] if not isinstance(value, (str, bool, int, float, np.generic))), None)
    if odd is not None:
        is_date = isinstance(odd, datetime.date)
        way = f"datetime64, pandas.to_datetime(df[{name!r}])" if is_date else "one of those, or leave it out"
        raise TypeError(
            f"Column {name!r} must hold numbers, text, categories, booleans or datetime64; it holds a "
            f"{type(odd).__name__}. Convert it to {way}."
        )
    are_numbers = pd.to_numeric(known, errors="coerce").notna().to_numpy()
    if are_numbers.mean() > 0.5 and not are_numbers.all():
        word = known.iloc[int(np.argmin(are_numbers))]
        raise ValueError(
            f"Column {name!r} must hold numbers or labels; {are_numbers.mean():.0%} of its cells are numbers, and "
            f"{word!r} is none. Correct the cell, make it missing, or give a schema that has the column as Category()."
        )
    values = known.nunique()
    if values >= _MANY and values > _IDENTIFIES * len(known):
        return None
    return Category().completed(name, series)


def _of_numbers(x: np.ndarray) -> Column:
    values, counts = np.unique(x, return_counts=True)
    if len(values) <= 2:
        return Category()
    if len(values) <= _FEW and (counts >= _LEAST).mean() > 0.5:
        atoms = tuple(values[counts >= _LEAST])
    else:
        often = counts >= max(_LEAST, _OFTEN * len(x))
        atoms = tuple(values[often & (counts >= _AS_NEIGHBOURS * _of_neighbours(counts))][:_FEW])
    if (x == np.round(x)).all():
        return Count(atoms=atoms) if values[0] >= 0 else Integer(atoms=atoms)
    step = grid_step(x) or (rounded_step(values) if len(values) <= _REPEAT * len(x) else 0.0)
    if step > _FINE * location_and_scale(x)[1]:
        return Real(step=step, origin=float(values[0]), atoms=atoms)
    low = 0.0 if _is_positive(x[~np.isin(x, atoms)]) and values[0] >= 0 else None
    if atoms:
        return AtomReal(atoms=atoms, low=low)
    return Real() if low is None else Positive(low=low)


def _is_positive(x: np.ndarray) -> bool:
    """Whether numbers are positive, and their logarithms far more symmetric than they are."""
    if not len(x) or x.min() <= 0:
        return False
    return skewness(x) > _SKEWED and abs(skewness(np.log(x))) < 0.5 * skewness(x)


def _of_neighbours(counts: np.ndarray) -> np.ndarray:
    """The larger of the counts of the value before and the value after each, [n]."""
    padded = np.concatenate([[0], counts, [0]])
    return np.maximum(padded[:-2], padded[2:])


def rounded_step(values: np.ndarray) -> float:
    """The step 10⁻ᵏ of numbers [n] with at most k ≤ 6 digits after the point; 0 if they have more."""
    rounding = 4 * np.finfo(np.float32).eps * np.abs(values)  # they may have been float32
    for digits in range(1, _DIGITS + 1):
        if (np.abs(values - np.round(values, digits)) <= np.minimum(rounding, 0.01 * 10.0**-digits)).all():
            return float(10.0**-digits)
    return 0.0


def _are_numbers(known: Any) -> bool:
    """Whether objects are numbers, such as `decimal.Decimal`, and none is text."""
    import decimal
    import numbers

    return all(isinstance(value, (numbers.Real, decimal.Decimal)) for value in known)
