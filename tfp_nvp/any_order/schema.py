"""What the columns of a table are."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfp_nvp import checks, tables
from tfp_nvp._names import NAMES
from tfp_nvp._warnings import warn
from tfp_nvp.any_order.cells import Cells
from tfp_nvp.any_order.column import Column
from tfp_nvp.any_order.frames import as_frame
from tfp_nvp.any_order.inference import inferred


class Schema(Mapping[str, Column]):
    """The columns of a table in their order: names and types.

    Args:
      columns: name → column, such as `{"age": Count(), "region": Category()}`.

    Raises:
      TypeError: for other names or columns.
      ValueError: without columns.

    >>> import pandas as pd
    >>> schema = Schema.of(pd.DataFrame({"age": range(30, 60), "region": ["north", "south"] * 15}))
    >>> schema
    Schema(
      age: Count()
      region: Category(categories=('north', 'south'))
    )
    """

    def __init__(self, columns: Mapping[str, Column]):
        for name, column in columns.items():
            if not isinstance(name, str):
                raise TypeError(f"`columns` must have text as names; got {checks.shown(name)}.")
            if not isinstance(column, Column):
                raise TypeError(
                    f"`columns` must hold columns, such as any_order.Real(); {name!r} is {checks.shown(column)}."
                )
        if not columns:
            raise ValueError("`columns` must have at least one column; got none.")
        self._columns = dict(columns)

    @classmethod
    def of(cls, x: Any) -> Schema:
        """Infers the type of each column (`any_order.inference.inferred` has the rules).

        A column of text that is different in most rows identifies rows; it is left out, with a warning.

        Args:
          x: a `pandas.DataFrame`, a `pyarrow.Table`, or a dict of columns.

        Raises:
          TypeError, ValueError: for a column that is none of the types, or that is missing in all rows.
        """
        frame = as_frame("x", x)
        found = {name: inferred(name, frame[name]) for name in frame.columns}
        left_out = [name for name, column in found.items() if column is None]
        if left_out:
            warn(
                f"Column(s) {tables.quoted(left_out)} hold a different text in most rows, so that they identify rows; "
                "they are left out of the schema. To model one all the same, use schema.replace(NAME=Category(...))."
            )
        return cls({name: column for name, column in found.items() if column is not None})

    # A mapping.

    def __getitem__(self, name: str) -> Column:
        if name not in self._columns:
            raise KeyError(f"there is no column {name!r}, but {tables.quoted(self._columns, 20)}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names in order."""
        return tuple(self._columns)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns in order."""
        return tuple(self._columns.values())

    def __repr__(self) -> str:
        lines = "".join(f"  {name}: {column!r}\n" for name, column in self.items())
        return f"{type(self).__name__}(\n{lines})"

    # Changes.

    def replace(self, **columns: Column) -> Schema:
        """A schema with other types of some columns, or with further columns at the end.

        >>> from tfp_nvp.any_order import Count, Real
        >>> Schema({"age": Real()}).replace(age=Count())["age"]
        Count()
        """
        return Schema(self._columns | columns)

    def drop(self, *names: str) -> Schema:
        """The schema without these columns."""
        self.numbers_of(names)
        return Schema({name: column for name, column in self.items() if name not in names})

    def select(self, names: Sequence[str]) -> Schema:
        """The schema of these columns, in this order."""
        self.numbers_of(names)
        return Schema({name: self[name] for name in names})

    def numbers_of(self, names: Sequence[str], argument: str = "names") -> list[int]:
        """The places of columns.

        Raises:
          TypeError, ValueError: for names that the schema does not have.
        """
        names = checks.sequence(argument, [names] if isinstance(names, str) else names, str, "names of columns")
        unknown = [name for name in names if name not in self]
        if unknown:
            raise ValueError(
                f"`{argument}` has the unknown column {unknown[0]!r}; the columns are {tables.quoted(self, 20)}."
            )
        return [self.names.index(name) for name in names]

    # Data.

    def completed(self, x: Any, argument: str = "x") -> Schema:
        """This schema with what its columns leave open filled in from a table.

        Raises:
          TypeError, ValueError: if the table contradicts it.
        """
        frame = self._frame(argument, x, some=False)
        return Schema({name: column.completed(name, frame[name]) for name, column in self.items()})

    def fitted(self, numbers: np.ndarray) -> Schema:
        """This schema with lines standardized by training rows: numbers [n, d]."""
        return Schema({name: column.fitted(numbers[:, i]) for i, (name, column) in enumerate(self.items())})

    def numbers(self, x: Any, argument: str = "x", *, some: bool = False) -> np.ndarray:
        """The cells of a table as float64 [n, d], NaN where missing, also in columns that it lacks if `some` may be.

        Columns are taken by name, in any order; others are ignored.

        Raises:
          TypeError, ValueError: if columns are missing, or cells contradict the schema, naming both.
        """
        frame = self._frame(argument, x, some=some)
        gaps = np.full(len(frame), np.nan)
        columns = [column.numbers(name, frame[name]) if name in frame else gaps for name, column in self.items()]
        return np.stack(columns, axis=-1)

    def frame(self, numbers: np.ndarray) -> Any:
        """A `pandas.DataFrame` of numbers [n, d], in the types and the order of the data."""
        import pandas as pd

        columns = [column.series(name, numbers[:, i]) for i, (name, column) in enumerate(self.items())]
        return pd.concat(columns, axis=1) if len(numbers) else pd.DataFrame({c.name: c for c in columns})

    def encode(self, numbers: np.ndarray) -> Cells:
        """The cells [n, d] of numbers [n, d]."""
        return Cells.stack([column.encode(numbers[:, i]) for i, column in enumerate(self.columns)])

    def _frame(self, argument: str, x: Any, *, some: bool) -> Any:
        frame = as_frame(argument, x)
        lacking = [name for name in self if name not in frame]
        if lacking and (not some or len(lacking) == len(self)):
            raise ValueError(
                f"`{argument}` must have the column(s) {tables.quoted(lacking)} of the schema; it has "
                f"{tables.quoted(frame.columns, 20)}. Add them, or take them out: schema.drop({lacking[0]!r})."
            )
        return frame

    # Files.

    def get_config(self) -> dict[str, Any]:
        """Names and columns as JSON values; lists, so that no name of a column is a key."""
        return {"names": list(self), "columns": [column.get_config() for column in self.columns]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Schema:
        """The schema of `get_config`.

        Raises:
          ValueError: for anything else, such as the config of a broken file.
        """
        try:
            names, columns = config["names"], config["columns"]
            return cls({name: _column(fields) for name, fields in zip(names, columns, strict=True)})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"The config makes no schema: {error}.") from error

    def to_json(self) -> str:
        """Text that can be edited: a line for each column."""
        lines = [
            f"  {json.dumps(name)}: {json.dumps(column.get_config(), ensure_ascii=False)}"
            for name, column in self.items()
        ]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """The schema of `to_json`, or of less: `{"age": {"type": "Count"}, "region": {"type": "Category"}}`.

        Raises:
          ValueError: for text that is no such JSON.
        """
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"A schema must be JSON: {error}.") from error
        if not isinstance(fields, dict):
            raise ValueError('A schema must be JSON such as {"age": {"type": "Count"}}.')
        return cls({name: _column(column) for name, column in fields.items()})


def _column(config: Any) -> Column:
    """The column of `Column.get_config`."""
    fields = dict(config) if isinstance(config, Mapping) else {"type": config}
    kind = fields.pop("type", None)
    known = {name: module for name, module in NAMES["tfp_nvp.any_order"].items() if name != "Schema"}
    if kind not in known:
        raise ValueError(f"A column must have a type of {', '.join(known)}; got {checks.shown(kind)}.")
    cls = getattr(importlib.import_module(known[kind]), kind)
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    try:
        return cls(**fields)
    except TypeError as error:
        raise ValueError(f"A column of type {kind} can't be made: {error}.") from error
