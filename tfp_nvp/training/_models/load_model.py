"""Loads a .keras file that may be anyone's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from tfp_nvp._limits import read_config


def load_model(
    filepath: str | os.PathLike,
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Loads a model as `keras.saving.load_model` does, after a check of the file's own sizes.

    Use it for files of others. Keras unpacks and parses the file's config before it asks any class: a file of some
    megabytes can unpack to gigabytes. Here no part may be far larger than the file, before any is read. What the
    config names and asks for is checked by both functions: a file may name our classes, listed ones of TFP, and what
    this process registered or passes as `custom_objects`; layers and weights have bounds that grow with the file.

    Args:
      filepath: a .keras file.
      custom_objects: names and the classes or functions that they stand for.
      compile: whether the model is compiled with its optimizer, where the file has one.
      safe_mode: False for a file of your own that names functions, and holds what the checks refuse.

    Returns:
      A `FlowModel`, or the Keras model that the file holds.

    Raises:
      OSError: if there is no such file.
      ValueError: if it is no .keras file, damaged, or refused.

    >>> import tempfile, pathlib
    >>> from tfp_nvp import FlowModel, NICE
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "flow.keras"
    >>> FlowModel(NICE([2], num_layers=1, hidden_units=[4])).save(path)
    >>> load_model(path).is_conditional
    False
    """
    path = Path(filepath)
    with path.open("rb"):
        pass
    if safe_mode:
        try:
            read_config(path)
        except ValueError as error:
            raise ValueError(f"{path}: not a model that can be loaded: {error}") from error
    try:
        return keras.saving.load_model(path, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode)
    except MemoryError:
        raise
    except Exception as error:  # of a damaged file, Keras and h5py raise many others than ValueError
        reason = str(error).split("Exception encountered: ")[-1]  # which Keras writes after the whole config
        reason = " ".join(reason.split()) or type(error).__name__
        shown = reason if len(reason) <= 600 else f"{reason[:300]} … {reason[-300:]}"
        raise ValueError(f"{path}: not a model that can be loaded: {shown}") from error
