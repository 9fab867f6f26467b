"""Checks a SavedModel folder from a new process: `python verify.py FOLDER CASES.npz`.

It needs TensorFlow and NumPy only, and runs as a server does: without XLA, from the folder
alone. `verify` starts it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

# A value v may differ from the expected e by this times 1 + |e| + median |e|: enough for another
# order of summation in a deep network, too little for a lost weight.
_TOLERANCE = {"float64": 1e-6, "float32": 1e-3, "bfloat16": 5e-2, "float16": 1e-2}

Arrays = dict[str, np.ndarray]


class Case(NamedTuple):
    """Inputs of a signature, and its expected outputs, by name."""

    inputs: Arrays
    outputs: Arrays


def verify(folder: Path, cases: dict[str, Case], timeout: float = 600.0, computed_in: str | None = None) -> None:
    """Runs every case on the folder in a new Python process.

    Args:
      folder: a version's folder.
      cases: by signature.
      timeout: in seconds.
      computed_in: the dtype that networks compute in, if another than that of the outputs; it allows larger errors.

    Raises:
      RuntimeError: with the reason, if the folder does not load, or gives other values.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "cases.npz"
        np.savez(file, **_flat(cases))  # type: ignore[arg-type]
        # PYTHONSAFEPATH, or the script would import modules from its own folder first.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONSAFEPATH": "1"}
        command = [sys.executable, str(Path(__file__).resolve()), str(folder), str(file), computed_in or ""]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"it ended with status {done.returncode}"]
        raise RuntimeError(f"The exported folder failed its check in a new process: {reason[0]}")


def check_folder(folder: str, cases: dict[str, Case], computed_in: str | None = None) -> None:
    """Loads the folder, and runs every case with all its rows, with the first row, and with none.

    Raises:
      ValueError: if an output is not as expected.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    missing = set(cases) - set(loaded.signatures)
    if missing:
        raise ValueError(f"signatures {sorted(missing)} are missing")
    for name, case in cases.items():
        for rows in (None, 1, 0):
            inputs = {key: tf.constant(value[:rows]) for key, value in case.inputs.items()}
            outputs = loaded.signatures[name](**inputs)
            for key, expected in case.outputs.items():
                compare(f"{name}/{key}", outputs[key].numpy(), expected[:rows], computed_in)


def compare(name: str, value: np.ndarray, expected: np.ndarray, computed_in: str | None = None) -> None:
    """Raises `ValueError`, with the name and a place, if a value is not as expected."""
    if value.dtype != expected.dtype or value.shape != expected.shape:
        raise ValueError(
            f"{name} is {value.dtype} of shape {value.shape}; expected {expected.dtype} of shape {expected.shape}"
        )
    if not expected.size:
        return
    v, e = value.astype(np.float64), expected.astype(np.float64)
    if expected.dtype.kind in "iub":
        # They are rounded or compared real numbers, so a tiny error can change one by 1: allow that in 1 % of them.
        near = np.abs(v - e) <= 1.0
        if near.all() and np.count_nonzero(v != e) <= 1 + 0.01 * e.size:
            return
    finite = np.isfinite(e)
    size = np.abs(np.where(finite, e, 0.0))
    tolerance = max(_TOLERANCE.get(each, 0.0) for each in (expected.dtype.name, computed_in or ""))
    room = tolerance * (1.0 + size + np.median(size))
    with np.errstate(invalid="ignore"):
        good = np.where(finite, np.abs(v - e) <= room, (v == e) | (np.isnan(v) & np.isnan(e)))
    if not good.all():
        at = tuple(np.argwhere(~good)[0].tolist())
        raise ValueError(f"{name}{list(at)} is {value[at]}; Python has {expected[at]}")


def _disable_xla() -> None:
    """Disables XLA in this process, as a server does by default: functions with `jit_compile=True` then fail here."""
    import tensorflow as tf

    library = Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"
    if library.exists():
        getattr(ctypes.CDLL(str(library)), "_ZN10tensorflow21DisableXlaCompilationEv", lambda: None)()


def _flat(cases: dict[str, Case]) -> Arrays:
    return {
        f"{name}/{field}/{key}": value
        for name, case in cases.items()
        for field, arrays in case._asdict().items()
        for key, value in arrays.items()
    }


def _nested(flat: Iterator[tuple[str, np.ndarray]]) -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for path, value in flat:
        name, field, key = path.split("/", 2)
        getattr(cases.setdefault(name, Case({}, {})), field)[key] = value
    return cases


if __name__ == "__main__":
    try:
        with np.load(sys.argv[2]) as file:
            stored = _nested(file.items())
        _disable_xla()
        check_folder(sys.argv[1], stored, sys.argv[3] or None)
    except Exception as error:  # one line for any failure, which the parent passes on
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
