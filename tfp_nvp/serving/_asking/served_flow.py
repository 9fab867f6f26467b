"""Loads an exported flow in Python."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import tensorflow as tf
from absl import logging

from tfp_nvp import checks
from tfp_nvp.serving._asking.queries import Arrays, Queries, in_dtype
from tfp_nvp.serving._folders.model_card import check_hashes, read_card
from tfp_nvp.serving._folders.versions import versions


def load(path: str | os.PathLike) -> ServedFlow:
    """Loads a version's folder written by `export`, or the newest version in a model's folder.

    Raises:
      FileNotFoundError: if there is none.
      ValueError: if a file of the folder is missing, cut short or changed.
    """
    folder = checks.local_path("path", path)
    if not (folder / "saved_model.pb").exists():
        numbers = versions(folder)
        if not numbers:
            raise FileNotFoundError(f"No exported model in {folder}: neither saved_model.pb nor a folder of versions.")
        folder = folder / str(numbers[-1])
    return ServedFlow(folder)


class ServedFlow(Queries):
    """The signatures of a version's folder as methods, on NumPy arrays.

    It gives a server's answers, without a server and without the code of the flow.

    Args:
      folder: a version's folder.

    Raises:
      ValueError: if a file of the folder is missing, cut short or changed.

    >>> import tempfile, tfp_nvp
    >>> flow = tfp_nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0)
    >>> flow.initialize([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]])
    >>> with tempfile.TemporaryDirectory() as path:
    ...     served = load(tfp_nvp.serving.export(flow, path + "/moons", verify=False))
    ...     served.sample(3, seed=1).shape
    (3, 2)
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        with _quiet():
            try:
                check_hashes(self.folder)
                self._loaded = tf.saved_model.load(str(folder))  # keeps the functions valid
            except Exception as error:  # TensorFlow raises OpError, IndexError, DecodeError, … for a damaged file
                reason = " ".join(str(error).split())[:300]
                raise ValueError(f"{folder} is not a whole SavedModel; export it again: {reason}") from error
        if "log_prob" not in self._loaded.signatures:
            raise ValueError(f"{folder} has no signature 'log_prob'; `export` did not write it.")

    @property
    def signatures(self) -> list[str]:
        """The names of the folder's signatures."""
        return sorted(set(self._loaded.signatures) - {"serving_default"})

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        schema = (read_card(self.folder) or {}).get("schema") or {}
        names = {"x": schema.get("columns"), "condition": schema.get("condition_columns")}
        return {key: tuple(value) for key, value in names.items() if value}

    @property
    def _where(self) -> str:
        return str(self.folder)

    def _inputs_of(self, signature: str) -> dict[str, tf.TensorSpec]:
        if signature not in self._loaded.signatures:
            raise ValueError(f"{self.folder} has no signature {signature!r}; it offers {self.signatures}.")
        return self._loaded.signatures[signature].structured_input_signature[1]

    def _run_rows(self, signature: str, inputs: Arrays) -> Arrays:
        specs = self._inputs_of(signature)
        tensors = {name: tf.constant(in_dtype(rows, specs[name])) for name, rows in inputs.items()}
        outputs = self._loaded.signatures[signature](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences TensorFlow's warnings about second derivatives, which served flows do not need."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
