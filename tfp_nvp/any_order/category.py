"""Columns of categories: text, other labels, ordered levels, booleans."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfp_nvp import checks, tables
from tfp_nvp.any_order.cells import Cells
from tfp_nvp.any_order.column import Column
from tfp_nvp.any_order.frames import missing

#: A softmax of more categories would be most of the network; such columns mostly identify rows.
MOST_CATEGORIES = 1_000


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Category(Column):
    """Labels without an order: text, or the labels of a categorical dtype; each has a probability.

    Args:
      categories: all labels, text, numbers or booleans, in the order in which tables are given back; () for those of
        the data.
      other: the label that stands for every label that is not among `categories`; None to refuse those.

    Raises:
      ValueError: for more than 1,000 categories, or two that are equal.
    """

    is_ordered: ClassVar[bool] = False

    categories: tuple[Any, ...] = ()
    other: Any = None

    def __post_init__(self) -> None:
        categories = tuple(item.item() if isinstance(item, np.generic) else item for item in self.categories)
        if self.other is not None and categories and self.other not in categories:
            categories = (*categories, self.other)
        if len(set(categories)) < len(categories):
            raise ValueError(f"`categories` must be different; got {checks.shown(categories)}.")
        if len(categories) > MOST_CATEGORIES:
            raise ValueError(
                f"`categories` must be at most {MOST_CATEGORIES:,}; got {len(categories):,}. Give the frequent ones, "
                'and a label for the rest: Category(categories=[...], other="other").'
            )
        wrong = next((item for item in categories if not isinstance(item, (str, int, float, bool))), None)
        if wrong is not None:
            raise ValueError(f"`categories` must be text, numbers or booleans; got {checks.shown(wrong)}.")
        object.__setattr__(self, "categories", categories)

    @property
    def num_atoms(self) -> int:
        return len(self.categories)

    def completed(self, name: str, series: Any) -> Column:
        column = self
        if not self.categories:
            labels = _labels(series)
            if not labels:
                raise ValueError(f"Column {name!r} must have a value in some row; all cells are missing. Leave it out.")
            if len(labels) > MOST_CATEGORIES:
                raise ValueError(
                    f"Column {name!r} must have at most {MOST_CATEGORIES:,} categories; it has {len(labels):,}, such "
                    f"as {tables.quoted(map(str, labels), 3)}. Leave it out, schema.drop({name!r}), if it names rows, "
                    'or give the frequent ones: Category(categories=[...], other="other").'
                )
            column = dataclasses.replace(self, categories=labels)
        column = column if column.dtype else dataclasses.replace(column, dtype=_dtype_name(series))
        column.numbers(name, series)
        return column

    def numbers(self, name: str, series: Any) -> np.ndarray:
        codes = {label: float(code) for code, label in enumerate(self.categories)}
        default = np.nan if self.other is None else codes[self.other]
        gaps, values = missing(series), series.astype(object).to_numpy()
        numbers = np.array(
            [np.nan if gap else codes.get(value, default) for gap, value in zip(gaps, values, strict=True)], np.float64
        )
        unknown = np.flatnonzero(np.isnan(numbers) & ~gaps)
        if unknown.size:
            others = list(dict.fromkeys(str(values[row]) for row in unknown))
            known = tables.quoted(map(str, self.categories), 8)
            raise ValueError(
                f"Column {name!r} must hold one of {known}; row {unknown[0]} has the unknown category "
                f"{tables.quoted(others, 3)}. Make it missing (NaN), or fit with a schema that has a category for the "
                'rest: Category(categories=[...], other="other").'
            )
        return numbers

    def series(self, name: str, numbers: np.ndarray) -> Any:
        import pandas as pd

        codes = np.where(np.isnan(numbers), -1, numbers).astype(int)
        if self.dtype in ("category", ""):
            labels = pd.Index(list(self.categories))
            return pd.Series(pd.Categorical.from_codes(codes, labels, ordered=self.is_ordered), name=name)
        labels = np.empty(len(self.categories) + 1, object)
        labels[:-1] = self.categories
        values = pd.Series(labels[codes], name=name, dtype=object)  # −1 is the last, None
        return values if (codes < 0).any() and self.dtype in ("bool", "int64") else values.astype(self.dtype)

    def encode(self, numbers: np.ndarray) -> Cells:
        known = ~np.isnan(numbers)
        return Cells.of(known, atom=np.where(known, numbers, 0.0))

    def decode(self, value: np.ndarray, atom: np.ndarray) -> np.ndarray:
        return np.asarray(atom, np.float64)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Ordinal(Category):
    """Labels with an order, such as small, medium, large; each has a probability, and `cdf` adds them up.

    Args: those of `Category`; `categories` in their order, which a categorical dtype with an order tells.
    """

    is_ordered: ClassVar[bool] = True


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Boolean(Category):
    """True or False.

    Args: those of `Category`.
    """

    categories: tuple[Any, ...] = (False, True)


def _labels(series: Any) -> tuple[Any, ...]:
    """The labels of a column: those of a categorical dtype in its order, others sorted."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        return tuple(series.cat.categories)
    values = list(dict.fromkeys(series.dropna().astype(object)))
    try:
        return tuple(sorted(values))
    except TypeError:  # text and numbers together
        return tuple(sorted(values, key=lambda value: (type(value).__name__, str(value))))


def _dtype_name(series: Any) -> str:
    import pandas as pd

    return "category" if isinstance(series.dtype, pd.CategoricalDtype) else str(series.dtype)
