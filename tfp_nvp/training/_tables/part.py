"""Rows of a table with what belongs to each: condition, weight, group."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import numpy as np

from tfp_nvp import tables
from tfp_nvp._circle import wrapped_columns
from tfp_nvp.training._models.data import checked_weights
from tfp_nvp.training._tables.columns import as_table


@dataclasses.dataclass(frozen=True)
class Part:
    """Some rows of a table.

    Attributes:
      x: [n, d].
      condition: [n, k], or None.
      weight: positive weights [n] of mean 1, or None if all rows weigh the same.
      group: integers [n], equal for rows of one group; None without groups.
      names, condition_names: of the columns; None without names.
    """

    x: np.ndarray
    condition: np.ndarray | None = None
    weight: np.ndarray | None = None
    group: np.ndarray | None = None
    names: tuple[str, ...] | None = None
    condition_names: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        x: Any,
        condition: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        name: str | None = None,
        like: Part | None = None,
    ) -> Part:
        """Checks the arguments of `fit`, or the parts of the argument `name`; rows of weight zero are left out.

        Columns are put in the order of those of `like`, by name.

        Raises:
          TypeError, ValueError: for what is no table of finite numbers, other lengths, or negative weights.
        """
        x_name, condition_name = ("x", "condition") if name is None else (name, f"condition of {name}")
        weight_name = "sample_weight" if name is None else f"sample_weight of {name}"
        x, names = _read(x_name, x, None if like is None else (like.names,))
        condition_names = None
        if condition is not None:
            like_names = None if like is None else (like.condition_names,)
            condition, condition_names = _read(condition_name, condition, like_names)
        if condition is not None and len(condition) != len(x):
            raise ValueError(
                f"`{condition_name}` must have a row for each of the {len(x)} rows of `{x_name}`; "
                f"it has {len(condition)}."
            )
        group = None if groups is None else _group_numbers(groups, len(x))
        part = cls(x, condition, group=group, names=names, condition_names=condition_names)
        return part if sample_weight is None else part._weighted(checked_weights(weight_name, sample_weight, len(x)))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def effective_rows(self) -> float:
        """(Σw)² / Σw², the number of rows of equal weight that tell as much; Kish (1965), "Survey Sampling"."""
        return float(len(self) if self.weight is None else self.weight.sum() ** 2 / np.square(self.weight).sum())

    def take(self, rows: np.ndarray) -> Part:
        """The rows of these numbers or of this mask; the mean weight is 1 again."""
        values = (None if value is None else value[rows] for value in (self.x, self.condition, self.weight, self.group))
        x, condition, weight, group = values
        assert x is not None
        weight = None if weight is None else weight / weight.mean()
        return dataclasses.replace(self, x=x, condition=condition, weight=weight, group=group)

    def wrapped(self, low: np.ndarray, high: np.ndarray) -> Part:
        """The same rows, their periodic columns moved into [low, high) by whole periods; both [d], ±inf for others."""
        return dataclasses.replace(self, x=wrapped_columns(self.x, low, high))

    def astype(self, dtype: Any) -> Part:
        """The same numbers in another dtype."""
        x, condition, weight = (None if v is None else v.astype(dtype) for v in (self.x, self.condition, self.weight))
        assert x is not None
        return dataclasses.replace(self, x=x, condition=condition, weight=weight)

    @property
    def keras_data(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Inputs, targets and weights as `FlowModel` takes them."""
        return (self.x, None, self.weight) if self.condition is None else (self.condition, self.x, self.weight)

    def _weighted(self, weight: np.ndarray) -> Part:
        """These rows without those of weight zero."""
        kept = weight > 0
        weight = weight[kept] / weight[kept].mean()
        equal = weight.min() == weight.max()
        return dataclasses.replace(self if kept.all() else self.take(kept), weight=None if equal else weight)


def _read(name: str, value: Any, like: tuple[Any] | None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """A table's numbers and names, in the order of the names in `like`, if given."""
    table = as_table(name, value)
    return (table.values, table.columns) if like is None else (tables.in_order(name, table, *like), *like)


def _group_numbers(groups: Any, rows: int) -> np.ndarray:
    """Labels of any kind [rows] as integers [rows]."""
    if isinstance(groups, (list, tuple)) and not any(map(np.ndim, groups)):  # NumPy would make text of all labels
        groups, labels = np.empty(len(groups), object), groups
        groups[:] = labels
    labels = tables.read("groups", groups, of_numbers=False).values  # refuses masked labels
    if labels.shape not in ((rows,), (rows, 1)):
        raise ValueError(f"`groups` must be one label per row, [{rows}]; got shape {list(labels.shape)}.")
    labels = labels.reshape(-1)
    if labels.dtype == object:
        missing = [label is None or type(label).__name__ in ("NAType", "NaTType") or label != label for label in labels]
        keys = [(_kind(label), label) for label in labels]
        try:
            in_order = sorted(set(keys), key=lambda key: (key[0], str(key[1])))
        except TypeError as error:
            raise TypeError(f"`groups` must hold labels such as numbers or text: {error}.") from None
        number = {key: i for i, key in enumerate(in_order)}
        found = np.asarray([number[key] for key in keys], int)
    else:
        missing = list(labels != labels)
        found = np.unique(labels, return_inverse=True)[1].reshape(-1)
    if any(missing):
        row = missing.index(True)
        raise ValueError(
            f"`groups` must not hold NaN or None, which equal nothing; row {row} has {labels[row]!s}. Give such rows a "
            "label of their own."
        )
    return found


def _kind(label: Any) -> str:
    """What tells labels apart besides their value: 1 is 1.0, and not "1"."""
    return next(
        (name for name, kind in (("number", numbers.Number), ("text", str)) if isinstance(label, kind)),
        type(label).__name__,
    )
