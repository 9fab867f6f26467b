"""Writes a served model for other runtimes, beside the SavedModel."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tfp_nvp.serving._exporting.c_source import c_source
from tfp_nvp.serving._exporting.signatures import Signature
from tfp_nvp.serving._folders.model_card import EXTRA

#: The file of each format, within a version's folder.
FILES = {"c": f"{EXTRA}/model.c"}


def checked_formats(formats: Collection[str]) -> tuple[str, ...]:
    """Raises `TypeError` or `ValueError` if the argument is no collection of names of formats."""
    if isinstance(formats, str) or not isinstance(formats, Collection):
        raise TypeError(f"`formats` must be a list of names, such as ['c']; got {formats!r}.")
    unknown = [each for each in formats if each not in FILES]
    if unknown:
        raise ValueError(f"`formats` must be of {sorted(FILES)}; got {unknown[0]!r}.")
    return tuple(dict.fromkeys(formats))


def sources(name: str, signatures: dict[str, Signature], formats: Collection[str]) -> dict[str, str]:
    """The texts of a model's files by their paths.

    Raises:
      ValueError: for a format that can't hold the model.
    """
    return {FILES["c"]: c_source(name, signatures)} if "c" in formats else {}


def write_sources(folder: Path, texts: dict[str, str]) -> None:
    """Writes them into a version's folder."""
    for path, text in texts.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
