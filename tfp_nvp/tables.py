"""Reads arrays and tables as users give them: numbers without loss, and names of columns."""

from __future__ import annotations

import decimal
import numbers
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

#: Float64 holds every integer up to this size, and of larger ones only some.
LARGEST_INTEGER = 2**53
_SHOWN = 5  # rows or columns listed in a message before "…"


class Table(NamedTuple):
    """Numbers as they were given, and the names that came with them.

    Attributes:
      values: booleans, integers or floats, of any shape.
      columns: names along the last axis: those of a frame's columns, or the labels of one row; None without names.
      title: the name of a series; None without.
    """

    values: np.ndarray
    columns: tuple[str, ...] | None = None
    title: str | None = None


def read(name: str, value: Any, *, of_numbers: bool = True) -> Table:
    """Reads an array, nested lists, a series or a frame of pandas, polars or pyarrow, or an array with named fields.

    Integers, booleans and floats keep their dtype. Objects that are numbers become float64; None and `pandas.NA`
    become NaN. Columns labelled 0, 1, …, d − 1 have no names.

    Args:
      name: of the argument, for messages.
      value: what was given.
      of_numbers: whether values must be numbers; otherwise only masked values and sparse ones are refused.

    Raises:
      TypeError: for complex numbers, dates, text, categories, sparse or ragged values and anything else that is no
        number, naming the column.
      ValueError: for masked values, integers beyond ±2⁵³, columns of one name.
    """
    value = _unmasked(name, value)
    if not of_numbers:
        return Table(_as_array(name, value), columns_of(value))
    if is_frame(value):
        return _read_frame(name, value)
    labels = getattr(value, "index", None) if hasattr(value, "iloc") else None  # of a pandas.Series
    title = getattr(value, "name", None) if labels is not None else None
    array = _column(name, None, value) if labels is not None else _as_array(name, value)
    if array.dtype.names:
        fields: Any = array
        return _joined(name, array.dtype.names, [fields[field] for field in array.dtype.names])
    columns = None if labels is None else _text_labels(labels)
    return Table(_numbers(name, array, None), columns, title if isinstance(title, str) else None)


def is_frame(value: Any) -> bool:
    """Whether `value` is a table of named columns, of pandas, polars or pyarrow."""
    return any(hasattr(value, which) for which in ("columns", "column_names")) and (
        hasattr(value, "iloc") or hasattr(value, "get_column") or hasattr(value, "column")
    )


def columns_of(value: Any) -> tuple[str, ...] | None:
    """The names of a frame's columns or of an array's fields; None without names."""
    if is_frame(value):
        return _names(_labels(value))
    return getattr(getattr(value, "dtype", None), "names", None)


def in_order(name: str, table: Table, columns: Sequence[str] | None) -> np.ndarray:
    """The values of `table` with their last axis in the order of a model's `columns`.

    Values without names are taken by place. If the model has no names, columns labelled by a permutation of
    0, …, d − 1 are sorted, and other names are ignored.

    Raises:
      ValueError: if names are missing or unknown.
    """
    names = table.columns
    if names is None or columns == names:
        return table.values
    if columns is None:
        columns = tuple(map(str, range(len(names))))
        if set(names) != set(columns):
            return table.values
    missing = [column for column in columns if column not in names]
    unknown = [column for column in names if column not in columns]
    if missing or unknown:
        lacks = f"lacks {quoted(missing)}" if missing else ""
        has = f"has {quoted(unknown)} besides" if unknown else ""
        raise ValueError(
            f"`{name}` must have the columns {quoted(columns, 20)} that the model was fitted to, in any order; it "
            f"{' and '.join(part for part in (lacks, has) if part)}. Select the model's columns by name."
        )
    return table.values[..., [names.index(column) for column in columns]]


def label(columns: Sequence[str] | None, i: Any) -> str:
    """Column i in a message: its name in quotes, or its number."""
    return str(i) if columns is None else repr(columns[i])


def column_number(argument: str, column: Any, d: int, columns: Sequence[str] | None) -> int:
    """The number of a column of `x` that an argument tells by its name or, from 0 to d − 1, its number.

    Raises:
      ValueError: if there is none.
    """
    if columns is not None and column in columns:
        return columns.index(column)
    number = int(column) if isinstance(column, numbers.Integral) and not isinstance(column, bool) else -1
    if 0 <= number < d:
        return number
    known = (
        f"has no names, but columns 0 to {d - 1}: give a DataFrame, or numbers"
        if columns is None
        else (f"has {quoted(columns, 20)}")
    )
    raise ValueError(f"`{argument}` has the unknown column {column!r}; `x` {known}.")


def listed(columns: Sequence[str] | None, which: Iterable[int]) -> str:
    """The first columns of `which` in a message."""
    return _shortened([label(columns, int(i)) for i in which])


def quoted(names: Iterable[str], most: int = _SHOWN) -> str:
    """The first of `names` in a message, in quotes."""
    return _shortened([repr(name) for name in names], most)


def check_finite(
    what: str, name: str, value: np.ndarray, columns: Sequence[str] | None = None, dtype: Any = None
) -> None:
    """Raises `ValueError` with rows, and columns of a table, if a value is NaN or infinite, or is so in `dtype`."""
    if value.ndim and not len(value):
        raise ValueError(f"`{name}` has no rows.")
    if value.dtype.kind not in "fc":
        return
    largest = np.finfo(value.dtype if dtype is None else dtype).max
    if value.dtype.kind == "f" and value.size and -largest <= value.min() and value.max() <= largest:
        return  # no copy; a NaN would have been the least
    bad = ~(np.abs(value) <= largest)
    rows = np.flatnonzero(bad.reshape(len(value), -1).any(axis=-1))
    if rows.size:
        where = f", column(s) {listed(columns, np.flatnonzero(bad.any(axis=0)))}" if value.ndim == 2 else ""
        limit = "" if dtype is None else f" (beyond ±{largest:.3g} in {np.dtype(dtype)})"
        raise ValueError(
            f"{what} in `{name}` must be finite; NaN or ±inf{limit} in {rows.size} row(s): "
            f"{_shortened(rows.tolist())}{where}. Remove or impute them."
        )


def _shortened(items: Sequence[Any], most: int = _SHOWN) -> str:
    return ", ".join(map(str, items[:most])) + (", …" if len(items) > most else "")


def _unmasked(name: str, value: Any) -> Any:
    """The data of a masked array without masked values; other values as they are."""
    if isinstance(value, (list, tuple)) and any(map(np.ma.isMaskedArray, value)):
        value = np.ma.array(value)
    if not np.ma.isMaskedArray(value):
        return value
    mask: Any = np.ma.getmaskarray(value)
    if mask.dtype.names:
        mask = np.logical_or.reduce([mask[field] for field in mask.dtype.names])
    if mask.any():
        rows = np.flatnonzero(mask.reshape(len(mask), -1).any(axis=-1)) if mask.ndim else [0]
        raise ValueError(
            f"`{name}` is a masked array with {int(mask.sum())} masked value(s), in row(s) {_shortened(list(rows))}. "
            f"A flow has no missing values: drop the rows, `numpy.ma.compress_rows({name})`, or impute them, "
            f"`{name}.filled(...)`."
        )
    return value.data


def _as_array(name: str, value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value  # a subclass, such as one mapped from a file, stays what it is
    if hasattr(value, "nnz") or type(value).__name__ in ("SparseTensor", "RaggedTensor", "IndexedSlices"):
        raise TypeError(
            f"`{name}` must be an array of numbers; got the sparse or ragged {type(value).__name__}. Make it dense "
            "first (`.toarray()`, `tf.sparse.to_dense`, `.to_tensor()`)."
        )
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`{name}` must be an array of numbers; got a {type(value).__name__}: {error}.") from None
    if (
        array.dtype == object
        and not array.ndim
        and not isinstance(value, (str, bytes))
        and (value is None or _number(value) is None)
    ):
        raise TypeError(f"`{name}` must be an array of numbers; got {value!r:.200}.")
    return array


def _labels(frame: Any) -> list[Any]:
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)


def _names(labels: list[Any]) -> tuple[str, ...] | None:
    return None if labels == list(range(len(labels))) else tuple(map(str, labels))


def _text_labels(index: Any) -> tuple[str, ...] | None:
    """The labels of one row if they are text: those of a column's rows mostly are numbers."""
    labels = list(index) if len(index) <= 100_000 else []
    return tuple(labels) if labels and all(isinstance(item, str) for item in labels) else None


def _read_frame(name: str, frame: Any) -> Table:
    labels = _labels(frame)
    if hasattr(frame, "iloc"):  # two columns may have one name
        parts = [frame.iloc[:, i] for i in range(len(labels))]
        dtypes = {part.dtype for part in parts}
        if len(dtypes) == 1 and dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
            _check_names(name, tuple(map(str, labels)))
            return Table(frame.to_numpy(), _names(labels))
    else:
        parts = [frame[item] for item in labels]
    return _joined(name, labels, parts)


def _joined(name: str, labels: Sequence[Any], parts: Sequence[Any]) -> Table:
    names = tuple(map(str, labels))
    _check_names(name, names)
    columns = [_numbers(name, _column(name, names[i], part), repr(names[i])) for i, part in enumerate(parts)]
    if not columns:
        raise ValueError(f"`{name}` has no columns.")
    if any(column.ndim != 1 for column in columns):
        i = next(i for i, column in enumerate(columns) if column.ndim != 1)
        raise TypeError(f"`{name}` must be a table of numbers; column {names[i]!r} holds arrays.")
    return Table(np.stack(columns, axis=-1), _names(list(labels)))


def _check_names(name: str, names: Sequence[str]) -> None:
    twice = {column for column in names if names.count(column) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise ValueError(f"`{name}` must have columns of different names; {quoted(sorted(twice))} occur twice.")


def _column(name: str, column_name: str | None, column: Any) -> np.ndarray:
    """One column of a frame or a series as an array; missing values of nullable dtypes are NaN."""
    dtype = getattr(column, "dtype", None)
    if str(dtype) == "category" or str(dtype).startswith(("Categorical", "Enum")):
        what = "it" if column_name is None else f"column {column_name!r}"
        raise TypeError(
            f"`{name}` must be a table of numbers; {what} holds categories. Encode them as numbers (one-hot, or "
            "`.astype(float)` if they are numbers), or leave them out."
        )
    if hasattr(dtype, "na_value") and column.isna().any():
        known = _numbers(name, np.asarray(column.dropna()), None if column_name is None else repr(column_name))
        values = np.full(len(column), np.nan)
        values[~np.asarray(column.isna())] = known
        return values
    return np.asarray(column)


def _numbers(name: str, array: np.ndarray, column: str | None) -> np.ndarray:
    """`array` if it holds real numbers that float64 holds too; objects that are numbers as float64."""
    kind = array.dtype.kind
    if kind in "bf":
        return array.astype(np.float64) if array.dtype.itemsize > 8 else array
    if kind in "iu":
        if array.dtype.itemsize == 8 and array.size:
            low, high = int(array.min()), int(array.max())
            _check_integer(name, low if -low > high else high, column, array)
        return array
    if kind == "O":
        return _of_objects(name, array, column)
    if array.dtype.type.__module__.startswith("ml_dtypes"):  # bfloat16, float8
        return array.astype(np.float32)
    what, remedy = {
        "c": ("complex numbers", "Give real and imaginary parts as two columns"),
        "M": ("dates", "Convert them to numbers, such as days since a date"),
        "m": ("times", "Convert them to numbers, such as seconds: `x / numpy.timedelta64(1, 's')`"),
        "U": ("text", "Encode it as numbers or leave it out"),
        "S": ("text", "Encode it as numbers or leave it out"),
    }.get(kind, (f"values of dtype {array.dtype}", "Convert them to numbers"))
    raise TypeError(f"`{name}` must be a table of numbers; {_place(array, column)} {what}{_first(array)}. {remedy}.")


def _of_objects(name: str, array: np.ndarray, column: str | None) -> np.ndarray:
    flat = array.ravel()
    values = [_number(item) for item in flat]
    for i, value in enumerate(values):
        if value is None:
            place = np.unravel_index(i, array.shape)
            where = column or (label(None, int(place[-1])) if array.ndim > 1 else None)
            row = f" in row {place[0]}" if array.ndim else ""
            item = flat[i]
            what = "text" if isinstance(item, (str, bytes)) else f"a {type(item).__name__}"
            raise TypeError(
                f"`{name}` must be a table of numbers; {'it' if where is None else f'column {where}'} holds {what}, "
                f"{item!r:.60}{row}. Encode it as numbers or leave it out."
            )
        if isinstance(value, int):
            _check_integer(name, value, column, array)
    return np.array(values, np.float64).reshape(array.shape)


def _number(item: Any) -> int | float | None:
    """An object as a number: NaN if it is missing, None if it is no number."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return float("nan") if type(item).__name__ != "NaTType" else None
    if isinstance(item, (bool, np.bool_, numbers.Integral)):
        return int(item)
    return float(item) if isinstance(item, (numbers.Real, decimal.Decimal)) else None


def _check_integer(name: str, value: int, column: str | None, array: np.ndarray) -> None:
    if abs(value) > LARGEST_INTEGER:
        raise ValueError(
            f"`{name}` must hold integers between ±2⁵³, as float64 skips others; {_place(array, column, value)} "
            f"{value}. Subtract a constant, or leave the column out if it is an identifier."
        )


def _place(array: np.ndarray, column: str | None, value: Any = None) -> str:
    """The subject of a message: the column that holds `value`, or else the array."""
    if column is None and value is not None and array.ndim > 1:
        column = label(None, int(np.argwhere(array == value)[0][-1]))
    return "it holds" if column is None else f"column {column} holds"


def _first(array: np.ndarray) -> str:
    return f" ({array.ravel()[0]!s:.40}, …)" if array.size else ""
