"""Columns of pandas as numbers, and back in the dtype they had."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from tfp_nvp import checks
from tfp_nvp.tables import LARGEST_INTEGER


def as_frame(name: str, value: Any) -> Any:
    """A `pandas.DataFrame`, from one, from a table of pyarrow or polars, or from a dict of columns.

    Raises:
      TypeError: for anything else.
      ValueError: for columns that have one name, or a dict of other things than columns.
      ImportError: without pandas.
    """
    if importlib.util.find_spec("pandas") is None:
        raise ImportError("Tables of mixed columns need pandas: pip install pandas")
    import pandas as pd

    frame = value
    if isinstance(value, dict):
        if not all(np.ndim(column) == 1 for column in value.values()):
            raise ValueError(
                f"`{name}` must be a dict of columns, such as {{'age': [40, 41]}}; got {checks.shown(value)}."
            )
        frame = pd.DataFrame(value)
    elif not isinstance(value, pd.DataFrame) and hasattr(value, "to_pandas"):
        frame = value.to_pandas()
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            f"`{name}` must be a pandas.DataFrame or a pyarrow.Table, so that columns have names; "
            f"got a {type(value).__name__}. Name the columns of an array: pandas.DataFrame(x, columns=[...])."
        )
    labels = [str(label) for label in frame.columns]
    twice = sorted({label for label in labels if labels.count(label) > 1}) if len(set(labels)) < len(labels) else []
    if twice:
        raise ValueError(f"`{name}` must have columns of different names; {twice[0]!r} occurs twice.")
    return frame.set_axis(labels, axis=1)


def missing(series: Any) -> np.ndarray:
    """Whether each cell [n] is missing: NaN, None, NaT or NA."""
    return series.isna().to_numpy(dtype=bool)


def numbers_of(name: str, series: Any) -> np.ndarray:
    """The cells as float64 [n], NaN where they are missing.

    Raises:
      TypeError: naming the column and the first value that is no number.
      ValueError: for infinite values, and integers that float64 does not hold.
    """
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    if series.dtype.kind in "MmcSV":
        raise TypeError(f"Column {name!r} must hold numbers, as its schema says; it holds {series.dtype}.")
    numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero(np.isnan(numbers) & ~missing(series))
    if wrong.size:
        raise TypeError(
            f"Column {name!r} must hold numbers, as its schema says; row {wrong[0]} has "
            f"{checks.shown(series.iloc[wrong[0]], 60)}. Correct the cell, or the schema: "
            f"schema.replace({name}=Category())."
        )
    if series.dtype.kind in "iuO" and np.nanmax(np.abs(numbers), initial=0.0) > LARGEST_INTEGER:
        raise ValueError(
            f"Column {name!r} must hold integers between ±2⁵³, as float64 skips others. Leave it out if it identifies "
            "rows, or subtract a constant."
        )
    infinite = np.flatnonzero(np.isinf(numbers))
    if infinite.size:
        raise ValueError(
            f"Column {name!r} must hold finite numbers; {infinite.size} are infinite, the first in row {infinite[0]}. "
            "Remove them, or make them missing (NaN)."
        )
    return numbers


def series_of(name: str, values: Any, dtype: str) -> Any:
    """A `pandas.Series` of numbers, text or other labels in a dtype by its name; integers are rounded."""
    import pandas as pd

    target = pd.api.types.pandas_dtype(dtype or "float64")
    values = np.asarray(values)
    if pd.api.types.is_integer_dtype(target) and values.dtype.kind == "f":
        gaps = np.isnan(values)
        if gaps.any() and isinstance(target, np.dtype):
            return pd.Series(values, name=name)  # NumPy's integers have no missing value
        rounded = np.where(gaps, 0.0, np.round(values)).astype(np.int64)
        integers = pd.Series(rounded, name=name).astype(target)
        return integers.mask(gaps) if gaps.any() else integers
    return pd.Series(values, name=name).astype(target)
