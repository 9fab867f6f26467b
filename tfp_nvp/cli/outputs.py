"""Writes outputs atomically, and never over other files."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

_BYTES_IN_MEMORY = 24  # of a number: drawn, as float64, and in the table
_BYTES_IN_A_FILE = 4  # of a number, at least


def check_free(path: str | Path) -> Path:
    """Returns `path` if it can be written and is missing or an empty folder.

    Raises:
      FileExistsError: if it exists otherwise.
      PermissionError: if it can't be written.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        state = "and is not empty" if path.is_dir() else "already"
        raise FileExistsError(f"{path} exists {state}. Choose another place or remove it.")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} can't be written: {parent} is not a folder that may be written to.")
    return path


def check_space(rows: int, columns: int, path: Path) -> None:
    """Refuses a table that fits neither into the memory nor onto the disk, before it is drawn.

    Raises:
      ValueError: with what it takes and what is free.
    """
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    for what, each, free in (
        ("memory", _BYTES_IN_MEMORY, _free_memory()),
        ("disk", _BYTES_IN_A_FILE, shutil.disk_usage(folder).free or 2**62),  # 0 of what is no disk
    ):
        needed = rows * columns * each
        if needed > free:
            raise ValueError(
                f"{rows:,} rows of {columns} column(s) take about {needed / 1e9:,.1f} GB of {what}; "
                f"{free / 1e9:,.1f} GB are free. Draw fewer at a time, each with another --seed."
            )


def _free_memory() -> int:
    """The bytes of memory that are free, without what the system could free; 2⁶² where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    except (OSError, StopIteration, ValueError):
        return 2**62


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Makes a folder beside `path`; renames it to `path` on success, and removes it on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}-{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
        if replace and path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """The same as `new_folder`, for a file of the same suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(value: Any, path: Path) -> None:
    """Writes `value` as strict JSON; numbers that are not finite become null."""
    path.write_text(json.dumps(_strict(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that affect results."""
    packages = ("tensorflow", "tensorflow-probability", "keras", "numpy")
    import tfp_nvp

    own = {"python": platform.python_version(), "tfp-nvp": tfp_nvp.__version__}
    return own | {package: metadata.version(package) for package in packages}


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
