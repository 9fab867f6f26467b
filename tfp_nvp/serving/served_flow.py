"""An exported flow, back in Python."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tfp_nvp import checks
from tfp_nvp.serving.versions import versions


def load(path: str | os.PathLike) -> ServedFlow:
    """The flow that `export` wrote: of a version's folder, or the newest version of a model's folder.

    Raises:
      FileNotFoundError: if there is none.
    """
    folder = Path(path)
    if not (folder / "saved_model.pb").exists():
        found = versions(folder)
        if not found:
            raise FileNotFoundError(f"No exported model in {folder}: neither saved_model.pb nor a folder of versions.")
        folder = folder / str(found[-1])
    return ServedFlow(folder)


class ServedFlow:
    """The signatures of a version's folder as methods, on NumPy arrays.

    What a server answers, without a server and without the code that made the flow.

    Args:
      folder: a version's folder.

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
            self._loaded = tf.saved_model.load(str(folder))  # functions are valid while this lives

    @property
    def signatures(self) -> list[str]:
        """The names of what the folder offers."""
        return sorted(set(self._loaded.signatures) - {"serving_default"})

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        return tuple(self._inputs("log_prob")["x"].shape[1:].as_list())

    @property
    def event_dtype(self) -> tf.DType:
        """Dtype of events: an integer one of what was `Dequantized`."""
        return self._inputs("log_prob")["x"].dtype

    @property
    def conditions(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each condition's input, by name."""
        specs = self._inputs("log_prob")
        return {name: tuple(spec.shape[1:].as_list()) for name, spec in specs.items() if name not in ("x", "seed")}

    def log_prob(self, x: Any, condition: Any = None, *, seed: int = 0) -> np.ndarray:
        """Log-density in nats: [n, *event_shape] → [n]. Noise that integers need is drawn from `seed`, row by row."""
        return self._run("log_prob", len(x), condition, x=x, **self._noise("log_prob", len(x), seed))["log_prob"]

    def sample(self, n: int, *, seed: int = 0, condition: Any = None, temperature: Any = None) -> np.ndarray:
        """n samples [n, *event_shape]: row i is drawn with the seed (`seed`, i).

        Args:
          n: an int, at least 0.
          seed: an int.
          condition: n rows, or a single one for all; a dict by input name if there are several.
          temperature: one number, or [n]; latents are drawn towards the base's mean by it.
        """
        seeds = _seeds(checks.integer("n", n, 0), seed)
        if temperature is None:
            return self._run("sample", n, condition, seed=seeds)["x"]
        return self._run("sample_tempered", n, condition, seed=seeds, temperature=temperature)["x"]

    def encode(self, x: Any, condition: Any = None, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
        """Latents and log |det ∂z/∂x| of data; None for the log-det of integers."""
        outputs = self._run("encode", len(x), condition, x=x, **self._noise("encode", len(x), seed))
        return outputs["z"], outputs.get("log_det")

    def decode(self, z: Any, condition: Any = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Data and log |det ∂x/∂z| of latents; None for the log-det of integers."""
        outputs = self._run("decode", len(z), condition, z=z)
        return outputs["x"], outputs.get("log_det")

    def _noise(self, name: str, n: int, seed: int) -> dict[str, np.ndarray]:
        """Seeds of n rows, if a signature takes them."""
        offered = name in self._loaded.signatures and "seed" in self._inputs(name)
        return {"seed": _seeds(n, seed)} if offered else {}

    def _inputs(self, name: str) -> dict[str, tf.TensorSpec]:
        """What a signature takes, by name."""
        return self._loaded.signatures[name].structured_input_signature[1]

    def _run(self, name: str, n: int, condition: Any, **inputs: Any) -> dict[str, np.ndarray]:
        if name not in self._loaded.signatures:
            raise ValueError(f"{self.folder} has no signature {name!r}; it offers {self.signatures}.")
        function, specs = self._loaded.signatures[name], self._inputs(name)
        if condition is not None:
            inputs |= condition if isinstance(condition, dict) else {"condition": condition}
        if set(inputs) != set(specs):
            raise ValueError(f"{name} of {self.folder} takes {sorted(specs)}; got {sorted(inputs)}.")
        outputs = function(**{key: _as_rows(inputs[key], spec, n) for key, spec in specs.items()})
        return {key: value.numpy() for key, value in outputs.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without TensorFlow's warnings of functions without a second derivative, which nobody asks of a served flow."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _seeds(n: int, seed: int) -> np.ndarray:
    """(seed, i) for each row; int32 [n, 2]."""
    first = np.asarray([checks.integer("seed", seed, 0) & 0xFFFFFFFF], np.uint32).view(np.int32)
    return np.stack([np.broadcast_to(first, [n]), np.arange(n, dtype=np.int32)], axis=-1)


def _as_rows(value: Any, spec: tf.TensorSpec, n: int) -> tf.Tensor:
    """`value` as n rows in the dtype of `spec`; a single one is repeated."""
    array = np.asarray(value)
    if array.ndim == spec.shape.rank - 1:
        array = np.broadcast_to(array, [n, *array.shape])
    if array.ndim != spec.shape.rank or not spec.shape.is_compatible_with(array.shape):
        raise ValueError(f"`{spec.name}` must have shape {spec.shape.as_list()}; got {list(array.shape)}.")
    if spec.dtype == tf.string:
        return tf.constant(array)
    cast = array.astype(spec.dtype.as_numpy_dtype)
    if spec.dtype.is_integer and not np.array_equal(cast, array):
        raise ValueError(
            f"`{spec.name}` must hold integers that fit {spec.dtype.name}; a cast would change its values."
        )
    return tf.constant(cast)
