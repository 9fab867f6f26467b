"""The base class of the columns of a table."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfp_nvp.any_order.cells import Cells

#: Of fields that `fitted` fills, and that `repr` leaves out.
LEARNED = {"shown": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column(abc.ABC):
    """What a column of a table is, and how its cells become numbers that a network takes.

    Every cell is an atom, whose probability is a softmax, or a number of a one-dimensional density, or either:

        categories, booleans     atoms alone
        real numbers, integers   a density, whose masses of cells are taken where values lie on a grid
        numbers that repeat      both

    A column is written down with as much as its user knows, such as `Count()`; `completed` fills in from data what
    fields say nothing of, and `fitted` the line on which numbers are standardized.

    Args:
      dtype: name of the pandas dtype in which values are given back; "" for that of the data.
    """

    #: The kind of density: "line", "circle", or "" for atoms alone.
    density: ClassVar[str] = ""
    #: Whether values have an order, so that `cdf` and `quantile` mean something.
    is_ordered: ClassVar[bool] = True

    dtype: str = ""

    @property
    def num_atoms(self) -> int:
        """k, how many atoms there are; 0 for none."""
        return 0

    @property
    def on_grid(self) -> bool:
        """Whether values stand for intervals of a line, whose masses are taken, instead of points."""
        return False

    @abc.abstractmethod
    def completed(self, name: str, series: Any) -> Column:
        """This column with the fields that were left open, from a `pandas.Series`.

        Raises:
          TypeError, ValueError: if the data contradict what is said of the column.
        """

    def fitted(self, numbers: np.ndarray) -> Column:
        """This column with its line standardized by training rows: numbers [n], NaN where missing."""
        return self

    @abc.abstractmethod
    def numbers(self, name: str, series: Any) -> np.ndarray:
        """Cells of a `pandas.Series` as float64 [n]: numbers, or the codes of categories; NaN where missing.

        Raises:
          TypeError, ValueError: naming the column and the first value that the column can't have.
        """

    @abc.abstractmethod
    def series(self, name: str, numbers: np.ndarray) -> Any:
        """A `pandas.Series` of the column's dtype, of `numbers` as that method gives them."""

    @abc.abstractmethod
    def encode(self, numbers: np.ndarray) -> Cells:
        """The cells [n] of numbers [n]."""

    @abc.abstractmethod
    def decode(self, value: np.ndarray, atom: np.ndarray) -> np.ndarray:
        """Numbers [n] of values [n] of the density and numbers of atoms [n]; the inverse of `encode`."""

    def nearest(self, numbers: np.ndarray) -> np.ndarray:
        """The values [n] of the column that are closest to numbers [n], such as means."""
        return numbers

    def get_config(self) -> dict[str, Any]:
        """The class's name and the fields as JSON values."""
        return {"type": type(self).__name__} | {
            field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)
        }

    def __repr__(self) -> str:
        """The class, and the fields that its user would write."""
        fields = {field.name: (getattr(self, field.name), field) for field in dataclasses.fields(self)}
        shown = [
            f"{name}={_short(value)}"
            for name, (value, field) in fields.items()
            if field.metadata.get("shown", True) and name != "dtype" and value != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _short(value: Any, most: int = 6) -> str:
    """A field's value, of a long tuple the first items."""
    if isinstance(value, tuple) and len(value) > most:
        return f"({', '.join(map(repr, value[:most]))}, … {len(value)} in all)"
    return f"{value:g}" if isinstance(value, float) else repr(value)
