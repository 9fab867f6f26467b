"""Names of versions, such as "stable" and "canary", in a model's folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tfp_nvp import checks
from tfp_nvp.serving._folders.locks import locked
from tfp_nvp.serving._folders.versions import versions, write_whole

_FILE = "labels.json"


def labels(path: str | os.PathLike) -> dict[str, int]:
    """The versions that labels stand for, of a model's folder.

    Raises:
      ValueError: if labels.json there is not what `set_label` writes.
    """
    file = Path(path) / _FILE
    if not file.exists():
        return {}
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {str(label): checks.integer(label, version, 1) for label, version in stored.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} must be a JSON object of labels and versions: {error}") from error


def set_label(path: str | os.PathLike, label: str, version: int) -> None:
    """Makes a label stand for a version: a new one, or one that stood for another.

    It is kept in labels.json of the model's folder, which processes may write at once: each label is set as if the
    others waited. A server reads labels from its configuration, which `tfp-nvp serve` and `serving.write_deployment`
    make of them.

    Args:
      path: a model's folder.
      label: letters, digits, ".", "_" and "-".
      version: one that is there.

    Raises:
      ValueError: if the label has other characters, or there is no such version.
    """
    if not _is_label(label):
        raise ValueError(f"`label` must be letters, digits, '.', '_' and '-'; got {label!r}.")
    set_labels(Path(path), [label], version)


def remove_label(path: str | os.PathLike, label: str) -> None:
    """Forgets a label, also one whose version is gone; a server does once its configuration is written again.

    Args:
      path: a model's folder.
      label: one that is there.

    Raises:
      ValueError: if there is no such label.
    """

    def without(named: dict[str, int]) -> dict[str, int]:
        if label not in named:
            raise ValueError(f"`label` must be one of {path}, {sorted(named)}; got {label!r}.")
        return {name: version for name, version in named.items() if name != label}

    without(labels(path))  # before a lock is made where there is no folder
    _change(Path(path), without)


def set_labels(folder: Path, names: Iterable[str], version: int) -> None:
    """Makes labels stand for a version, all of them or, where that fails, none; raises as `set_label` does."""
    names = check_labels(names)
    if checks.integer("version", version, 1) not in versions(folder):
        raise ValueError(f"`version` must be one that {folder} holds, {versions(folder)}; got {version}.")
    _change(folder, lambda named: named | dict.fromkeys(names, version))


def _change(folder: Path, change: Callable[[dict[str, int]], dict[str, int]]) -> None:
    """Writes what `change` makes of the labels; as if other processes waited."""
    with locked(folder / f".{_FILE}.lock") as held:
        for left in folder.glob(f".{_FILE}-*") if held else ():  # by processes that were killed
            left.unlink()
        write_whole(folder / _FILE, json.dumps(change(labels(folder)), indent=1, sort_keys=True) + "\n")


def check_labels(names: Iterable[str]) -> list[str]:
    """The labels as a list, of a generator too; raises `ValueError` for what is no label."""
    if isinstance(names, Iterable) and not isinstance(names, (str, bytes)):
        names = list(names)
        if all(map(_is_label, names)):
            return names
    raise ValueError(f"`labels` must be names of letters, digits, '.', '_' and '-', in a list; got {names!r}.")


def _is_label(label: Any) -> bool:
    return isinstance(label, str) and re.fullmatch(r"[A-Za-z0-9._-]+", label) is not None
