"""Bounds on what a file may have built, by the number of bytes that its weights take in it.

A config of some hundred bytes can ask for a network of a terabyte. What the config states is checked before anything
is built (`check_config`), and each weight before it takes memory (`bounded`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import lzma
import math
import os
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp._nameable import TRUST

#: Arguments that are numbers of layers; an object has as many as their product.
_COUNTS = frozenset({"num_layers", "num_blocks", "num_levels", "num_steps", "num_couplings", "factor", "num_groups"})
#: Arguments that are widths: a hidden layer has at most so many numbers for each element of an event.
_WIDTHS = frozenset({"hidden_units", "units", "filters", "num_bins", "num_components", "num_features"})
#: Integers of Keras configs that are no sizes.
_NO_SIZES = frozenset({"seed", "shared_object_id", "axis", "number", "decay_steps", "warmup_steps", "iterations"})
_DEPTH = 100
_LARGEST_FACTOR = 32  # of `Squeeze`, whose dispersed order takes factor⁴ steps
_LARGEST_IN_A_METRIC = 2**14  # some hold a matrix of so many rows and columns


@dataclasses.dataclass(frozen=True)
class Limits:
    """What may be built.

    Args:
      weights: numbers in all weights together.
      activations: numbers in an event times the width of a layer, or times the number of layers.
      objects: layers and other objects, of which each takes some milliseconds to make.
    """

    weights: int
    activations: int
    objects: int

    @classmethod
    def of(cls, size: int | None) -> Limits:
        """The limits of a file whose weights take `size` bytes; None for a config that comes from no file.

        A number takes a byte at least, and a layer some kilobytes. Small files may have 2²⁶ numbers (256 MiB).
        """
        if size is None:
            return cls(weights=2**31, activations=2**33, objects=2**16)
        return cls(weights=max(2**26, size), activations=max(2**27, 8 * size), objects=max(512, size // 2**10))


def limits_of_the_file() -> Limits:
    """The limits of the file that Keras is loading.

    Keras tells a class that it makes from a config nothing of the file, so it is looked for among the callers.
    """
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "_load_model_from_fileobj" and isinstance(frame.f_locals.get("zf"), zipfile.ZipFile):
            members = frame.f_locals["zf"].infolist()
            return Limits.of(sum(member.compress_size for member in members if "weights" in member.filename))
        if frame.f_code.co_name == "_load_model_from_dir" and "dirpath" in frame.f_locals:
            files = Path(frame.f_locals["dirpath"]).glob("model.weights*")
            return Limits.of(sum(file.stat().st_size for file in files))
        frame = frame.f_back  # type: ignore[assignment]
    return Limits.of(None)


def read_config(path: str | os.PathLike) -> Any:
    """The config of a .keras file, after a check of what its parts say of their sizes, before one is read.

    Raises:
      ValueError: if they are far larger than the file (Keras stores its parts as they are), or it is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > 2**24 + 16 * os.path.getsize(path):
                raise ValueError(f"its parts take {size:,} bytes, and the file {os.path.getsize(path):,}. {TRUST}")
            return json.loads(archive.read("config.json"))
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        KeyError,
        NotImplementedError,
        RecursionError,
        RuntimeError,
        EOFError,
    ) as error:
        raise ValueError(f"no .keras file: {error}") from error


def check_config(config: Any, limits: Limits) -> None:
    """Checks a config before anything is built.

    Raises:
      ValueError: if it is too deep, or states sizes or numbers of layers beyond the limits.
    """
    event, width, objects, waiting = 1, 1, 0, [(config, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEPTH:
            raise ValueError(f"The file's config is nested more than {_DEPTH} deep. {TRUST}")
        if isinstance(value, (list, tuple)):
            waiting += [(item, depth + 1) for item in value if isinstance(item, (dict, list, tuple))]
        if not isinstance(value, dict):
            continue
        waiting += [(item, depth + 1) for item in value.values() if isinstance(item, (dict, list, tuple))]
        event = max(event, *_event_sizes(value))
        width = max([width, *(size for name in _WIDTHS & value.keys() for size in _integers(value[name]))])
        objects += _objects(value)
        if "class_name" in value:
            _check_keras_sizes(value, limits)
    most = max(width, objects)
    _check("layers and other objects", objects, limits.objects)
    _check("numbers (an event's size times a width, or times the layers)", event * most, limits.activations)


@contextlib.contextmanager
def bounded(limits: Limits) -> Iterator[None]:
    """Refuses, before it takes memory, every weight made within that exceeds the limits; the outermost ones hold."""
    if getattr(_OPEN, "budget", None) is not None:
        yield
        return
    _OPEN.budget = budget = _Budget(limits)
    try:
        with tf.variable_creator_scope(budget.create):
            yield
    finally:
        _OPEN.budget = None


def reserve(numbers: int) -> None:
    """Refuses a matrix that a layer is about to make, if a file that is being loaded may not have so many numbers."""
    budget = getattr(_OPEN, "budget", None)
    if budget is not None:
        _check("numbers in a matrix", numbers, budget.limits.weights)


_OPEN = threading.local()


class _Budget:
    """Counts the numbers in all weights that are made."""

    def __init__(self, limits: Limits):
        self.limits, self._spent = limits, 0

    def create(self, make: Any, **arguments: Any) -> tf.Variable:
        """Makes a variable; a creator of `tf.variable_creator_scope`."""
        shape = _shape_of(arguments.get("initial_value"))
        self._spend(shape or ())
        variable = make(**arguments)
        if shape is None:
            self._spend(variable.shape)
        return variable

    def _spend(self, shape: Any) -> None:
        self._spent += math.prod(shape)
        _check("numbers in its weights", self._spent, self.limits.weights)


def _shape_of(initial: Any) -> Any:
    """The shape of an initial value; of a function by which Keras makes it, that of its variable; else None."""
    if not callable(initial):
        return np.shape(initial)
    held = [cell.cell_contents for cell in getattr(initial, "__closure__", None) or ()]
    return next((value._shape for value in held if isinstance(value, keras.Variable)), None)


def _event_sizes(node: dict) -> Iterator[int]:
    """The sizes of the events and masks that the arguments of an object tell of."""
    yield 1
    if "values" in node and "shape" in node:  # an array, which is as large as its text
        if math.prod(_integers(node["shape"])) != len(node["values"]):
            raise ValueError(f"The file holds an array of shape {node['shape']} and {len(node['values'])} numbers.")
        if node.get("dtype") == "bool":
            yield len(node["values"])
        return
    for name, value in node.items():
        if name == "mask":
            yield _leaves(value)
        elif name == "dimension" or name.endswith(("shape", "shape_out", "shape_in")):
            yield math.prod(size for size in _integers(value) if size > 0)


def _objects(node: dict) -> int:
    """The number of objects that one mention of a class makes, or that the arguments of one state."""
    counts = {name: _integers(node[name]) for name in _COUNTS & node.keys()}
    for factor in counts.pop("factor", []):
        _check("as the factor of a squeeze", factor, _LARGEST_FACTOR)
    if counts:
        return math.prod(max(1, sum(numbers)) for numbers in counts.values())
    return int("class_name" in node or node.get("kind") == "object")


def _check_keras_sizes(node: dict, limits: Limits) -> None:
    """Checks the integers of one Keras object: the largest two are rows and columns of a matrix."""
    module, config = str(node.get("module")), node.get("config")
    if not isinstance(config, dict) or module.startswith("keras.optimizers"):
        return
    own = {name: value for name, value in config.items() if name not in _NO_SIZES and not name.endswith("shape")}
    sizes = sorted(size for value in own.values() if not isinstance(value, dict) for size in _integers(value))[-2:]
    _check("numbers in one layer", math.prod(sizes), limits.activations)
    if module.startswith("keras.metrics") and sizes:
        _check("as a size of a metric", sizes[-1], _LARGEST_IN_A_METRIC)


def _integers(value: Any) -> list[int]:
    """The integers in an argument: alone, in a list as JSON has it, or as `serialize` writes it."""
    if isinstance(value, dict):
        value = value.get("items", value.get("sizes", []))
    items = value if isinstance(value, (list, tuple)) else [value]
    return [item for item in items if isinstance(item, int) and not isinstance(item, bool)]


def _leaves(value: Any) -> int:
    """The number of values in nested lists, whose depth is bounded."""
    if isinstance(value, dict):
        value = value.get("items", value.get("values"))
    return sum(map(_leaves, value)) if isinstance(value, (list, tuple)) else 1


def _check(what: str, number: int, limit: int) -> None:
    if number > limit:
        shown = f"{number:,}" if number < 10**30 else "more than 10³⁰"
        raise ValueError(f"The file asks for {shown} {what}; one of its size may have {limit:,}. {TRUST}")
