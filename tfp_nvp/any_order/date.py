"""Columns of dates and times."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfp_nvp.any_order.column import Column
from tfp_nvp.any_order.frames import missing
from tfp_nvp.any_order.number import Real

_DAY = 86_400.0


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Date(Real):
    """Dates (datetime64, with a time zone or without), as days since 1970; of whole days, each has a probability.

    Times of day have a density, in nats for days as unit.

    Args: those of `Real`, in days. `step` is 1 for whole days.
    """

    def completed(self, name: str, series: Any) -> Column:
        days = self.numbers(name, series)
        known = days[~np.isnan(days)]
        whole = known.size > 0 and bool((known == np.round(known)).all())
        step = self.step or float(whole)
        return dataclasses.replace(self, step=step, dtype=self.dtype or str(series.dtype))

    def series(self, name: str, numbers: np.ndarray) -> Any:
        import pandas as pd

        dtype = pd.api.types.pandas_dtype(self.dtype or "datetime64[us]")
        gaps = np.isnan(numbers)
        microseconds = np.round(np.where(gaps, 0.0, numbers) * _DAY * 1e6).astype("int64").astype("datetime64[us]")
        series = pd.Series(np.where(gaps, np.datetime64("NaT"), microseconds), name=name)
        zone = getattr(dtype, "tz", None)
        if zone is None:
            return series.astype(dtype)
        return series.dt.tz_localize(zone, ambiguous=False, nonexistent="shift_forward").dt.as_unit(dtype.unit)

    def _read(self, name: str, series: Any) -> np.ndarray:
        import pandas as pd

        zone = getattr(series.dtype, "tz", None)
        if zone is None and series.dtype.kind != "M":
            parsed = pd.to_datetime(series, errors="coerce")
            wrong = np.flatnonzero(parsed.isna().to_numpy() & ~missing(series))
            if wrong.size or series.dtype.kind in "iufb":
                row = wrong[0] if wrong.size else 0
                raise TypeError(
                    f"Column {name!r} must hold dates, as its schema says; row {row} has {series.iloc[row]!r}. Convert "
                    f"it: df[{name!r}] = pandas.to_datetime(df[{name!r}])."
                )
            series = parsed
        series = series.dt.tz_localize(None) if zone is not None else series  # local time, so that days are whole
        values = series.to_numpy().astype("datetime64[us]")
        days = values.astype("int64") / (_DAY * 1e6)
        return np.where(missing(series), np.nan, days)
