"""Reads and writes tables: files of named columns."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp.tables import LARGEST_INTEGER

if TYPE_CHECKING:  # commands without a table do not wait for pandas
    import pandas as pd

_SHOWN = 5  # rows or columns listed in a message before "…"


@dataclass(frozen=True)
class Table:
    """A file's columns as they were read, numbers or not.

    Attributes:
      name: the file's name, for messages.
      frame: the columns.
    """

    name: str
    frame: pd.DataFrame

    @property
    def is_named(self) -> bool:
        """Whether the file names its columns."""
        return are_names(self.columns)

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return list(self.frame.columns)

    def select(self, names: Sequence[str]) -> np.ndarray:
        """Converts columns to finite float64 numbers [rows, len(names)].

        Raises:
          ValueError: naming the column, the row (counted from 1, without the header) and the value.
        """
        unknown = [name for name in names if name not in self.frame]
        if unknown:
            raise ValueError(f"{self.name}: unknown column {unknown[0]!r}; it has {_listed(self.columns, 20)}.")
        values = np.stack([self._numbers(name) for name in names], axis=-1)
        bad = [
            f"{name!r} ({_rows(~np.isfinite(column))})"
            for name, column in zip(names, values.T, strict=True)
            if not np.isfinite(column).all()
        ]
        if bad:
            raise ValueError(
                f"{self.name}: missing, NaN or infinite values in column {_listed(bad, _SHOWN)}. Remove or fill them."
            )
        return values

    def varying(self, names: Sequence[str]) -> np.ndarray:
        """The same as `select`, but a constant column is an error too."""
        values = self.select(names)
        for name, column in zip(names, values.T, strict=True):
            if (column == column[0]).all():
                raise ValueError(
                    f"{self.name}: column {name!r} is constant ({column[0]:g} in every row), which has no density. "
                    "Leave it out with --columns."
                )
        return values

    def _numbers(self, name: str) -> np.ndarray:
        import pandas as pd

        column = self.frame[name]
        known = column.dropna()
        if pd.api.types.is_integer_dtype(column) and known.size:
            largest = max(int(known.max()), int(known.min()), key=abs)
            if abs(largest) > LARGEST_INTEGER:
                raise ValueError(
                    f"{self.name}: column {name!r} holds integers beyond ±2⁵³, such as {largest}, of which float64 "
                    "skips some. Leave it out if it identifies rows, or subtract a constant."
                )
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        if column.dtype.kind in "Mm":
            raise ValueError(f"{self.name}: column {name!r} holds dates or times ({column.dtype}), not numbers.")
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        text = np.flatnonzero(np.isnan(values) & ~column.isna().to_numpy())
        if text.size:
            value = column.iloc[text[0]]
            raise ValueError(f"{self.name}: column {name!r}, row {text[0] + 1}: {value!r} is not a number.")
        return values


def read_table(path: str | Path, *, key: str | None = None, header: bool | None = None) -> Table:
    """Reads a table from .csv, .tsv, .txt, .parquet, .npy or .npz, by the file's suffix.

    The separator of text files is the most frequent of , ; tab and | in their first line, which is
    a header if any of its fields is not a number. Columns without names are named x1, x2, …

    Args:
      path: the file.
      key: which array of an .npz file with several.
      header: whether a text file's first line names the columns; None to detect it.

    Raises:
      OSError: if there is no such file.
      ValueError: if its content does not match its suffix, or is empty.
    """
    import pandas as pd

    path = Path(path)
    if key is not None and path.suffix.lower() != ".npz":
        raise ValueError(f"{path.name}: --key chooses an array of an .npz file, which this is not. Leave it out.")
    if header is not None and path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        raise ValueError(f"{path.name}: --header and --no-header are for text, which this is not. Leave them out.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path.name}: unknown kind of file; the suffix must be one of {', '.join(_READERS)}.")
    with path.open("rb"):
        pass  # raises the system's error if it is missing or may not be read
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = reader(path, key, header)
    except Exception as error:  # of a broken file, NumPy and pandas raise many others than ValueError
        raise unreadable(path, error) from error
    if not frame.size:
        raise ValueError(f"{path.name}: the table has no rows.")
    frame.columns = [str(name).strip() for name in frame.columns]
    return Table(path.name, frame)


def unreadable(path: Path, error: Exception) -> ValueError:
    """The error for a file whose content does not match its suffix."""
    reason = str(error) or type(error).__name__
    if "allow_pickle" in reason:  # NumPy's way out of it is no option here
        reason = "it is broken, or holds Python objects"
    return ValueError(f"{path.name}: can't be read as {path.suffix}: {reason}")


def write_table(values: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Writes rows [n, len(names)] to .csv, .tsv, .parquet or .npy, by the suffix."""
    import pandas as pd

    _WRITERS[path.suffix.lower()](pd.DataFrame(values, columns=list(names)), values, path)


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Writes a frame of any types to .csv, .tsv or .parquet, by the suffix."""
    _WRITERS[path.suffix.lower()](frame, frame.to_numpy(), path)


def write_scores(log_prob: np.ndarray, names: pd.Series | None, path: Path) -> None:
    """Writes a number for each row [n], after the rows' names [n] if there are any, by the suffix."""
    import pandas as pd

    frame = pd.DataFrame({"log_prob": log_prob})
    if names is not None:
        frame.insert(0, "id" if names.name == "log_prob" else names.name, names.to_numpy())
    write_frame(frame, path)


def check_writable(path: Path) -> None:
    """Raises `ValueError` unless `write_table` knows the suffix."""
    if path.suffix.lower() not in _WRITERS:
        raise ValueError(f"{path.name}: unknown kind of file; the suffix must be one of {', '.join(_WRITERS)}.")


def _read_text(path: Path, key: str | None, header: bool | None) -> pd.DataFrame:
    import pandas as pd

    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next((line for line in file if line.strip()), "")
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=first.count)
    fields = [field.strip() for field in next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])]
    if header is None:
        header = not all(_is_number(field) for field in fields)
    if header and len(set(fields)) < len(fields):
        raise ValueError(f"two columns have the name {max(fields, key=fields.count)!r}.")
    frame = pd.read_csv(
        path,
        sep=separator,
        header=0 if header else None,
        index_col=False,
        skipinitialspace=True,
        low_memory=False,
        encoding="utf-8-sig",
    )
    return frame if header else _named(frame)


def _read_npz(path: Path, key: str | None, header: bool | None) -> pd.DataFrame:
    with np.load(path, allow_pickle=False) as file:
        keys = list(file)
        if key is None and len(keys) != 1:
            raise ValueError(f"it has {len(keys)} arrays; choose one with --key: {_listed(keys, 20)}.")
        if key is not None and key not in keys:
            raise ValueError(f"it has no array {key!r}; it has {_listed(keys, 20)}.")
        return _from_array(file[key if key is not None else keys[0]])


def _read_parquet(path: Path, key: str | None, header: bool | None) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)


def _from_array(array: np.ndarray) -> pd.DataFrame:
    import pandas as pd

    if array.dtype.names:
        return pd.DataFrame({name: array[name] for name in array.dtype.names})
    if array.ndim not in (1, 2):
        raise ValueError(f"an array of shape {list(array.shape)} is not a table of [rows, columns].")
    return _named(pd.DataFrame(array))


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis([f"x{i + 1}" for i in range(frame.shape[1])], axis=1)


def are_names(columns: Sequence[str]) -> bool:
    """Whether columns have other names than those that a file without names gets."""
    return list(columns) != [f"x{i + 1}" for i in range(len(columns))]


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return not field  # an empty field is a missing number
    return True


def _rows(flags: np.ndarray) -> str:
    rows = (np.flatnonzero(flags) + 1).tolist()
    return f"row{'s' if len(rows) > 1 else ''} {_listed(rows, _SHOWN)}"


def _listed(items: Sequence[Any], most: int) -> str:
    return ", ".join(map(str, items[:most])) + (f", … ({len(items)} in all)" if len(items) > most else "")


_READERS: dict[str, Callable[[Path, str | None, bool | None], pd.DataFrame]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".txt": _read_text,
    ".parquet": _read_parquet,
    ".npy": lambda path, key, header: _from_array(np.load(path, allow_pickle=False)),
    ".npz": _read_npz,
}
_WRITERS: dict[str, Callable[[pd.DataFrame, np.ndarray, Path], None]] = {
    ".csv": lambda frame, values, path: frame.to_csv(path, index=False),
    ".tsv": lambda frame, values, path: frame.to_csv(path, sep="\t", index=False),
    ".parquet": lambda frame, values, path: frame.to_parquet(path, index=False),
    ".npy": lambda frame, values, path: np.save(path, values),
}
