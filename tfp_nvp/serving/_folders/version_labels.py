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
    """Returns the labels in a model's folder and their versions.

    Raises:
      ValueError: if its labels.json has another format than that of `set_label`.
    """
    file = Path(path) / _FILE
    if not file.exists():
        return {}
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        return {str(label): checks.integer(label, version, 1) for label, version in stored.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file} must be a JSON object of labels and versions: {error}") from error


def set_label(path: str | os.PathLike, label: str, version: int) -> None:
    """Sets a label, new or not, to a version.

    Labels are stored in labels.json of the model's folder; processes that set labels at the same time wait for each
    other. `tfp-nvp serve` and `serving.write_deployment` write them to the configuration that a server reads.

    Args:
      path: a model's folder.
      label: letters, digits, ".", "_" and "-".
      version: an existing one.

    Raises:
      ValueError: if the label has other characters, or there is no such version.
    """
    if not _is_label(label):
        raise ValueError(f"`label` must be letters, digits, '.', '_' and '-'; got {label!r}.")
    set_labels(Path(path), [label], version)


def remove_label(path: str | os.PathLike, label: str) -> None:
    """Removes a label, also of a missing version. A server keeps it until its configuration is written again.

    Args:
      path: a model's folder.
      label: an existing one.

    Raises:
      ValueError: if there is no such label.
    """

    def without(named: dict[str, int]) -> dict[str, int]:
        if label not in named:
            raise ValueError(f"`label` must be one of {path}, {sorted(named)}; got {label!r}.")
        return {name: version for name, version in named.items() if name != label}

    without(labels(path))  # raises before a lock file is made
    _change(Path(path), without)


def set_labels(folder: Path, names: Iterable[str], version: int) -> None:
    """Sets all labels to a version, or none if one is invalid; raises as `set_label`."""
    names = check_labels(names)
    if checks.integer("version", version, 1) not in versions(folder):
        raise ValueError(f"`version` must be one that {folder} holds, {versions(folder)}; got {version}.")
    _change(folder, lambda named: named | dict.fromkeys(names, version))


def _change(folder: Path, change: Callable[[dict[str, int]], dict[str, int]]) -> None:
    """Applies `change` to the stored labels, under a lock."""
    with locked(folder / f".{_FILE}.lock") as held:
        for left in folder.glob(f".{_FILE}-*") if held else ():  # written by killed processes
            left.unlink()
        write_whole(folder / _FILE, json.dumps(change(labels(folder)), indent=1, sort_keys=True) + "\n")


def check_labels(names: Iterable[str]) -> list[str]:
    """Returns an iterable of labels as a list; raises `ValueError` for anything else."""
    if isinstance(names, Iterable) and not isinstance(names, (str, bytes)):
        names = list(names)
        if all(map(_is_label, names)):
            return names
    raise ValueError(f"`labels` must be names of letters, digits, '.', '_' and '-', in a list; got {names!r}.")


def _is_label(label: Any) -> bool:
    return isinstance(label, str) and re.fullmatch(r"[A-Za-z0-9._-]+", label) is not None
