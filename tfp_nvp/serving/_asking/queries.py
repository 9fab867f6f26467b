"""The queries to a served flow, as methods on arrays."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, tables
from tfp_nvp.serving._asking.errors import ServingError
from tfp_nvp.serving._asking.specs import Arrays
from tfp_nvp.serving._folders.condition_names import named_condition


class Queries(abc.ABC):
    """The signatures of a served flow as methods, on NumPy arrays.

    A subclass implements `signatures`, `_where`, `_inputs_of` and `_run_rows`.
    """

    @property
    @abc.abstractmethod
    def signatures(self) -> list[str]:
        """The names of the signatures."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        return tuple(self._event.shape[1:].as_list())

    @property
    def event_dtype(self) -> tf.DType:
        """Dtype of events; an integer one for a `Dequantized` distribution."""
        return self._event.dtype

    @property
    def conditions(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each condition's input, by name."""
        specs = self._inputs_of("log_prob")
        return {name: tuple(spec.shape[1:].as_list()) for name, spec in specs.items() if name not in ("x", "seed")}

    @property
    @abc.abstractmethod
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Names of the columns that the model was fitted to, of `x` and of `condition`; without those it has not."""

    def log_prob(self, x: Any, condition: Any = None, *, seed: int = 0) -> np.ndarray:
        """Log-density in nats: [n, *event_shape] → [n]. The noise of integers is drawn from `seed`, row by row."""
        return self._answer("log_prob", len(x), condition, x=x, **self._noise("log_prob", len(x), seed))["log_prob"]

    def sample(self, n: int, *, seed: int = 0, condition: Any = None, temperature: Any = None) -> np.ndarray:
        """Draws n samples [n, *event_shape], row i with the seed (`seed`, i).

        They are not those of `model.sample(n, seed=seed)`, which draws all rows from one seed.

        Args:
          n: an int, at least 0.
          seed: an int from 0 to 2³² − 1.
          condition: n rows, or one row for all; if there are several inputs a dict, by the names that the model's
            encoder has for them, or by those of the signature (`condition_NAME`).
          temperature: a number, or [n], at least 0; as for `Flow.sample`.

        Raises:
          ValueError: if there is a temperature, and the flow's base has none.
        """
        seeds = _seeds(checks.integer("n", n, 0), seed)
        if temperature is None:
            return self._answer("sample", n, condition, seed=seeds)["x"]
        if "sample_tempered" not in self.signatures:
            raise ValueError(
                f"`temperature` needs the signature sample_tempered, which {self._where} does not have: it is no flow, "
                "or its base has bounds, or no mean. Leave `temperature` out."
            )
        temperature = checks.numbers_in("temperature", temperature, checks.Interval(0.0))
        return self._answer("sample_tempered", n, condition, seed=seeds, temperature=temperature)["x"]

    def encode(self, x: Any, condition: Any = None, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
        """Latents and log |det ∂z/∂x| of data; None for the log-det of integers."""
        outputs = self._answer("encode", len(x), condition, x=x, **self._noise("encode", len(x), seed))
        return outputs["z"], outputs.get("log_det")

    def decode(self, z: Any, condition: Any = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Data and log |det ∂x/∂z| of latents; None for the log-det of integers."""
        outputs = self._answer("decode", len(z), condition, z=z)
        return outputs["x"], outputs.get("log_det")

    def score(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Scores [n] of an `AnomalyDetector`, larger for less likely rows, and whether each is an anomaly [n]."""
        outputs = self._answer("score", len(x), x=x)
        return outputs["score"], outputs["is_anomaly"]

    def predict(self, signature: str, inputs: Mapping[str, Any]) -> Arrays:
        """Returns the outputs of any signature by name, given rows by name.

        Raises:
          ValueError: if there is no such signature, or inputs are missing, unexpected, or of other shapes.
        """
        specs = self._inputs_of(signature)
        if set(inputs) != set(specs):
            raise ValueError(f"{signature} of {self._where} takes {sorted(specs)}; got {sorted(inputs)}.")
        if not any(np.ndim(inputs[name]) == spec.shape.rank for name, spec in specs.items()):
            shapes = {name: list(np.shape(value)) for name, value in inputs.items()}
            wanted = {name: spec.shape.as_list() for name, spec in specs.items()}
            raise ValueError(f"inputs of {signature} must have shapes {wanted}, None for rows; got {shapes}.")
        counts = {len(inputs[name]) for name, spec in specs.items() if np.ndim(inputs[name]) == spec.shape.rank}
        if len(counts) != 1:
            raise ValueError(f"inputs of {signature} must have equally many rows; got {sorted(counts)}.")
        (n,) = counts
        return self._run_rows(signature, {name: _as_rows(inputs[name], spec, n) for name, spec in specs.items()})

    @property
    @abc.abstractmethod
    def _where(self) -> str:
        """The model's place, for messages."""

    @abc.abstractmethod
    def _inputs_of(self, signature: str) -> dict[str, tf.TensorSpec]:
        """Specs of a signature's inputs by name; raises `ValueError` if there is no such signature."""

    @abc.abstractmethod
    def _run_rows(self, signature: str, inputs: Arrays) -> Arrays:
        """Runs a signature on inputs of the right shapes and equally many rows; casts them with `in_dtype`."""

    @property
    def _event(self) -> tf.TensorSpec:
        specs = self._inputs_of("log_prob")
        if "x" not in specs:
            raise ValueError(f"log_prob of {self._where} has no input 'x': `tfp_nvp.export` did not write it.")
        return specs["x"]

    def _answer(self, signature: str, n: int, condition: Any = None, **inputs: Any) -> Arrays:
        specs = self._inputs_of(signature)
        if condition is not None:
            inputs |= named_condition(condition, specs)
        inputs = {key: self._in_order(key, value, specs.get(key)) for key, value in inputs.items()}
        for key, value in inputs.items():
            # A condition or temperature with one row is broadcast to all rows; `x` and `z` are not broadcast.
            if key in specs and (key not in ("x", "z") or np.ndim(value) == specs[key].shape.rank):
                inputs[key] = _as_rows(value, specs[key], n)
            elif key in specs:
                raise ValueError(
                    f"`{key}` must have shape {specs[key].shape.as_list()}, None for rows; got {list(np.shape(value))}."
                )
        return _Outputs(self.predict(signature, inputs))

    def _in_order(self, name: str, value: Any, spec: tf.TensorSpec | None) -> Any:
        """Numbers as an array, in the order of the model's columns; mapped files, tensors and text as they are."""
        if spec is None or spec.dtype == tf.string or tf.is_tensor(value):
            return value
        table = tables.read(name, value)
        return tables.in_order(name, table, self.columns.get(name)) if name in ("x", "condition") else table.values

    def _noise(self, signature: str, n: int, seed: int) -> Arrays:
        """Seeds of n rows, if a signature has this input."""
        return {"seed": _seeds(n, seed)} if "seed" in self._inputs_of(signature) else {}


class _Outputs(Arrays):
    """Outputs of a signature that `export` writes."""

    def __missing__(self, name: str) -> np.ndarray:
        raise ServingError(
            f"there is no output {name!r}, but {sorted(self)}: `tfp_nvp.export` did not write this model."
        )


def _seeds(n: int, seed: int) -> np.ndarray:
    """The seeds (seed, i) of the rows; int32 [n, 2]."""
    first = np.asarray([checks.integer("seed", seed, 0, 2**32 - 1)], np.uint32).view(np.int32)
    return np.stack([np.broadcast_to(first, [n]), np.arange(n, dtype=np.int32)], axis=-1)


def _as_rows(value: Any, spec: tf.TensorSpec, n: int) -> np.ndarray:
    """Broadcasts `value` to n rows, in its own dtype."""
    array = np.asarray(value)
    if array.ndim == spec.shape.rank - 1:
        array = np.broadcast_to(array, [n, *array.shape])
    if array.ndim != spec.shape.rank or not spec.shape.is_compatible_with(array.shape):
        raise ValueError(f"`{spec.name}` must have shape {spec.shape.as_list()}; got {list(array.shape)}.")
    return array


def in_dtype(rows: np.ndarray, spec: tf.TensorSpec) -> np.ndarray:
    """Casts rows to the dtype of `spec`. Large arrays are passed in parts, as a cast copies.

    Raises:
      ValueError: if a cast to integers changes the values.
    """
    if spec.dtype == tf.string:
        return rows.astype(object)
    cast = rows.astype(spec.dtype.as_numpy_dtype, copy=False)
    if spec.dtype.is_integer and not np.array_equal(cast, rows):
        raise ValueError(
            f"`{spec.name}` must hold integers that fit {spec.dtype.name}; a cast would change its values."
        )
    return cast
