"""A folder of generated files, which people may change between runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from tfp_nvp.serving._folders.versions import write_whole

#: The file with the options and hashes of the last run.
RECORD = ".generated.json"


def recorded_options(folder: Path) -> dict[str, Any]:
    """The options of the last run; none if there was none, or its record is damaged."""
    return _record(folder).get("options", {})


def write_generated(
    folder: Path,
    files: Mapping[str, str],
    options: Mapping[str, Any],
    *,
    derived: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda texts: {},
    overwrite: bool | Collection[str],
) -> list[str]:
    """Writes files, but keeps those that a person has changed.

    The rule is that of configuration files in Debian's packages: unchanged files are replaced. A changed file is kept
    if the new text equals the last generated one; otherwise there is a conflict. A file of the last run that is
    generated no more is removed if it is unchanged, and kept otherwise.

    Args:
      folder: made if it does not exist.
      files: texts by path within it.
      options: the options of the files, for `recorded_options`.
      derived: makes more files from the final texts, kept ones included.
      overwrite: whether to replace changed files too, or the names of those to replace.

    Returns:
      The changed files that were kept.

    Raises:
      FileExistsError: if there is a conflict; nothing is written then.
      ValueError: if `overwrite` names a file that is not generated.
    """
    before = _record(folder).get("sha256", {})
    if isinstance(overwrite, str) or not isinstance(overwrite, (bool, Collection)):
        raise TypeError(f"`overwrite` must be True, False or a list of names; got {overwrite!r}.")
    named = set(files if overwrite is True else overwrite or ())
    kept, in_the_way = _changed(folder, files, before, named)
    more = derived({**files, **{name: _text(folder / name) or "" for name in kept}})
    named |= set(more if overwrite is True else ())
    texts = {**files, **more}
    if not named <= texts.keys():
        raise ValueError(f"`overwrite` must name files of {sorted(texts)}; got {sorted(named - texts.keys())}.")
    more_kept, more_in_the_way = _changed(folder, more, before, named)
    kept, in_the_way = kept + more_kept, in_the_way + more_in_the_way
    if in_the_way:
        raise FileExistsError(
            f"{', '.join(in_the_way)} in {folder}: changed since generated, and now to be generated otherwise. Keep a "
            "copy under another name, and replace all that you have changed with overwrite=True (--overwrite), or some "
            "files with overwrite=[names] (--overwrite-file NAME)."
        )
    for name, text in texts.items():
        if name not in kept:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, text)
    kept += _remove_unchanged(folder, {name: before[name] for name in before.keys() - texts.keys()})
    now = {name: _sha256(text) for name, text in texts.items()}
    write_whole(folder / RECORD, json.dumps({"options": options, "sha256": now}, indent=1) + "\n")
    return kept


def _changed(
    folder: Path, files: Mapping[str, str], before: Mapping[str, str], but: Collection[str]
) -> tuple[list[str], list[str]]:
    """Files that a person has changed: those to keep, and those in conflict with new text."""
    kept: list[str] = []
    in_the_way: list[str] = []
    for name, text in files.items():
        there = None if name in but else _text(folder / name)
        if there is not None and there != text and _sha256(there) != before.get(name):
            (kept if _sha256(text) == before.get(name) else in_the_way).append(name)
    return kept, in_the_way


def _remove_unchanged(folder: Path, hashes: Mapping[str, str]) -> list[str]:
    """Removes the files that have these hashes, and returns the others."""
    there = {name: text for name in sorted(hashes) if (text := _text(folder / name)) is not None}
    changed = [name for name, text in there.items() if _sha256(text) != hashes[name]]
    for name in there.keys() - set(changed):
        (folder / name).unlink()
    return changed


def _record(folder: Path) -> dict[str, dict[str, Any]]:
    with contextlib.suppress(ValueError):
        record = json.loads(_text(folder / RECORD) or "{}")
        if isinstance(record, dict) and all(isinstance(value, dict) for value in record.values()):
            return record
    return {}


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
