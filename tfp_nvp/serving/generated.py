"""A folder of generated files, which people change and programs write again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfp_nvp.serving.versions import write_whole

#: What was written the last time, and with which options.
RECORD = ".generated.json"


def recorded_options(folder: Path) -> dict[str, Any]:
    """The options of the last time; none if there was none, or its record is damaged."""
    return _record(folder).get("options", {})


def write_generated(
    folder: Path, files: Mapping[str, str], options: Mapping[str, Any], *, overwrite: bool
) -> list[str]:
    """Writes files, but none over what a person has written.

    As with the configuration files of Debian's packages: a file that is as it was generated is replaced. One that was
    changed stays, if the last time generated the same text as this one; if not, both have something new to say.

    Args:
      folder: made if it is not there.
      files: texts by path within it.
      options: that they were made with, for `recorded_options`.
      overwrite: whether to replace changed files too.

    Returns:
      The changed files that stayed.

    Raises:
      FileExistsError: if a changed file would have to be replaced; nothing is written then.
    """
    before, now = _record(folder).get("sha256", {}), {name: _sha256(text) for name, text in files.items()}
    kept: list[str] = []
    in_the_way: list[str] = []
    for name, text in {} if overwrite else files.items():
        there = _text(folder / name)
        if there is not None and there != text and _sha256(there) != before.get(name):
            (kept if now[name] == before.get(name) else in_the_way).append(name)
    if in_the_way:
        raise FileExistsError(
            f"{', '.join(in_the_way)} in {folder}: changed since generated, and now to be generated otherwise. Keep a "
            "copy under another name, and replace with overwrite=True (--overwrite)."
        )
    for name, text in files.items():
        if name not in kept:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, text)
    write_whole(folder / RECORD, json.dumps({"options": options, "sha256": now}, indent=1) + "\n")
    return kept


def _record(folder: Path) -> dict[str, dict[str, Any]]:
    with contextlib.suppress(ValueError):
        found = json.loads(_text(folder / RECORD) or "{}")
        if isinstance(found, dict) and all(isinstance(part, dict) for part in found.values()):
            return found
    return {}


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
