"""Columns of angles, hours of the day and other numbers on a circle."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from tfp_nvp import checks
from tfp_nvp._circle import wrapped_columns
from tfp_nvp.any_order.cells import Cells
from tfp_nvp.any_order.column import Column
from tfp_nvp.any_order.frames import numbers_of, series_of


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Periodic(Column):
    """Real numbers on a circle: `low` and `high` are one point, as 0 and 24 hours are. Values beyond are wrapped.

    Values on a grid (whole hours) count as points of a density.

    Args:
      low, high: ends of the period.

    Raises:
      ValueError: if `low` is not below `high`.
    """

    density: ClassVar[str] = "circle"

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        low, high = (checks.number("low, high", end, checks.Interval()) for end in (self.low, self.high))
        if not low < high:
            raise ValueError(f"`low` must be below `high`; got {self.low} and {self.high}.")

    def completed(self, name: str, series: Any) -> Column:
        self.numbers(name, series)
        return self if self.dtype else dataclasses.replace(self, dtype=str(series.dtype))

    def numbers(self, name: str, series: Any) -> np.ndarray:
        x = numbers_of(name, series)
        ends = np.array([self.low]), np.array([self.high])
        return np.where(np.isnan(x), np.nan, wrapped_columns(np.nan_to_num(x)[:, np.newaxis], *ends)[:, 0])

    def series(self, name: str, numbers: np.ndarray) -> Any:
        return series_of(name, numbers, self.dtype)

    def encode(self, numbers: np.ndarray) -> Cells:
        known = ~np.isnan(numbers)
        angle = self._turn * (np.where(known, numbers, self.low) - self.low) - math.pi
        return Cells.of(known, value=angle, log_det=np.full(angle.shape, np.log(self._turn)))

    def decode(self, value: np.ndarray, atom: np.ndarray) -> np.ndarray:
        x = self.low + (np.asarray(value, np.float64) + math.pi) / self._turn
        return np.where(x < self.high, x, self.low)

    @property
    def _turn(self) -> float:
        """Radians of one unit of the column."""
        return 2.0 * math.pi / (self.high - self.low)
