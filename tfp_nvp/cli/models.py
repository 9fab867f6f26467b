"""Loads models, and computes their likelihoods, samples and pictures. Only this module starts TensorFlow."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfp_nvp._names import VECTOR_FLOWS, recipe_called

_SAMPLE_BATCH = 50_000  # samples drawn at once, to bound memory
_DRAWN = 10_000  # rows and samples in a picture


def start_tensorflow(*, only: bool = False, quiet: bool = False) -> Any:
    """Imports `tfp_nvp` without TensorFlow's log messages, and says so on a terminal.

    Some come before any log level applies, so stderr is redirected during the import.

    Args:
      only: whether to import TensorFlow alone, without TensorFlow Probability, which an exported model does not need.
      quiet: whether nothing is said.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    is_read = sys.stderr.isatty()  # in a file a refusal is one line
    if is_read and not quiet and "tensorflow" not in sys.modules:
        print("Starting TensorFlow", file=sys.stderr)  # noqa: T201
    with _no_stderr():
        import tensorflow as tf

        import tfp_nvp

        if not only:
            from tfp_nvp.serving import export  # noqa: F401  # and with it TensorFlow Probability
    tf.get_logger().setLevel(logging.ERROR)
    return tfp_nvp


def flow_name(name: str) -> str:
    """Finds the public name of a recipe from any spelling: "real-nvp", "RealNVP", "realnvp".

    Raises:
      ValueError: with the known names.
    """
    recipe = recipe_called(name)
    if recipe is None:
        raise ValueError(f"unknown flow {name!r}; the flows are {', '.join(VECTOR_FLOWS)}.")
    return recipe


@dataclass(frozen=True)
class Model:
    """A fitted model and the names of its columns.

    Attributes:
      flow: the `FlowModel`.
      columns: names of the event's columns; empty if unknown.
      condition_columns: names of the condition's.
      history: losses by epoch, of a model just fitted.
      metrics: the content of metrics.json.
    """

    flow: Any
    columns: list[str] = field(default_factory=list)
    condition_columns: list[str] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of an event."""
        return tuple(self.flow.distribution.event_shape.as_list())

    @property
    def size(self) -> int:
        """Number of columns of an event."""
        return int(np.prod(self.event_shape, dtype=int))

    @property
    def is_conditional(self) -> bool:
        """Whether the model takes a condition."""
        return bool(self.flow.is_conditional)

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        """Shape of a condition; () if there is an encoder, for any shape."""
        return self.flow.distribution.condition_shape if self.flow.encoder is None else ()

    @property
    def levels(self) -> int | None:
        """Number of levels of a density of integers; None for real numbers."""
        return getattr(self.flow.distribution, "levels", None)

    def integer_log_prob(self, x: np.ndarray, condition: np.ndarray | None, seed: int) -> np.ndarray:
        """log P of integers [n, *event], [n], in nats, with one draw of the noise each."""
        return np.asarray(self.flow.log_prob(x, condition=condition, seed=seed))

    def log_prob(self, x: np.ndarray, condition: np.ndarray | None = None) -> np.ndarray:
        """log p of each row, [n], in nats."""
        inputs = self._cast(x) if condition is None else (self._cast(condition), self._cast(x))
        return np.asarray(self.flow.predict(inputs, batch_size=4096, verbose=0), dtype=np.float64)

    @property
    def schema(self) -> Any:
        """What the model knows of the columns; None if nothing."""
        return self.flow.schema

    @property
    def noise_draws(self) -> int:
        """The number of draws of the noise of values on a grid over which an NLL is the mean; 0 without a grid."""
        return 0 if self.schema is None else self.schema.noise_draws

    def nll(self, x: np.ndarray, condition: np.ndarray | None = None) -> tuple[float, float]:
        """Mean negative log-likelihood of rows, and its standard error, in nats.

        Values on a grid get uniform noise of one step, as in `FlowModel.evaluate`: the mean over `noise_draws`.
        """
        if not self.noise_draws:
            values = -self.log_prob(x, condition)
        else:
            noisy = (np.asarray(self.schema.with_noise(self._cast(x), [draw, 1])) for draw in range(self.noise_draws))
            values = -np.mean([self.log_prob(rows, condition) for rows in noisy], axis=0)
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        return float(values.mean()), float(error)

    def sample(self, n: int, seed: int, condition: np.ndarray | None = None, *, round: bool = True) -> np.ndarray:
        """Draws n samples [n, d]; with a condition [m, c], n for each of its rows: [m, n, d].

        Values of grid columns are on the grid, in float64, unless `round` is false.
        """
        per_call = max(1, _SAMPLE_BATCH // (1 if condition is None else max(1, len(condition))))
        sizes = [min(per_call, n - start) for start in range(0, n, per_call)]
        seeds = np.random.SeedSequence(seed).generate_state(len(sizes)).astype(np.int64) % 2**31
        condition = None if condition is None else self._cast(condition)
        samples = np.concatenate([self._draw(size, int(s), condition) for size, s in zip(sizes, seeds, strict=True)])
        if round and self.schema is not None and self.schema.has_grid:
            samples = self.schema.round(samples.astype(np.float64)).numpy()
            for i in np.flatnonzero(self.schema.step):
                largest = np.maximum(np.abs(samples[..., i]).max(), self.schema.step[i])
                samples[..., i] = np.round(samples[..., i], 12 - int(np.ceil(np.log10(largest))))  # 0.57, not 0.5700…01
        return samples if condition is None else np.swapaxes(samples, 0, 1)

    def _draw(self, n: int, seed: int, condition: np.ndarray | None) -> np.ndarray:
        """Samples [n, d] or, with a condition [m, c], [n, m, d], before they are rounded."""
        keywords: dict[str, Any] = {} if condition is None else {"condition": condition}
        if self.schema is not None:
            keywords["round"] = False
        return np.asarray(self.flow.sample(n, seed=seed, **keywords))

    def about(self) -> dict[str, Any]:
        """Notes on the fit for a model card: data, columns, test NLL."""
        nll = self.metrics.get("nll", {})
        facts = {
            "data": self.metrics.get("data"),
            "columns": self.columns,
            "condition_columns": self.condition_columns,
            "rows": self.metrics.get("rows"),
            "test_nll": nll.get("test"),
            "test_standard_error": nll.get("test_standard_error"),
            "test_nll_noise_draws": nll.get("noise_draws"),
        }
        return {name: value for name, value in facts.items() if value}

    def _cast(self, values: np.ndarray) -> np.ndarray:
        return values.astype(self.flow.distribution.dtype.as_numpy_dtype)


@dataclass(frozen=True)
class Exported(Model):
    """An exported model. `flow` is a `ServedFlow`."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.flow.event_shape

    @property
    def is_conditional(self) -> bool:
        return bool(self.flow.conditions)

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        return next(iter(self.flow.conditions.values()), None)

    @property
    def levels(self) -> int | None:
        from tfp_nvp import serving

        dtype, card = self.flow.event_dtype, serving.read_card(self.flow.folder)
        if card is not None:
            return card["data"]["levels"]
        return dtype.max + 1 if dtype.is_integer else None  # without a card: the most that it can have

    @property
    def schema(self) -> Any:
        from tfp_nvp import serving
        from tfp_nvp.training import Schema

        card = serving.read_card(self.flow.folder) or {}
        return None if card.get("schema") is None else Schema.from_config(card["schema"])

    def _cast(self, values: np.ndarray) -> np.ndarray:
        return values.astype(self.flow.event_dtype.as_numpy_dtype)

    def log_prob(self, x: np.ndarray, condition: np.ndarray | None = None) -> np.ndarray:
        log_probs = [
            self.flow.log_prob(x[i : i + 4096], None if condition is None else condition[i : i + 4096], seed=i)
            for i in range(0, len(x), 4096)
        ]
        return np.concatenate(log_probs).astype(np.float64)

    def integer_log_prob(self, x: np.ndarray, condition: np.ndarray | None, seed: int) -> np.ndarray:
        return self.flow.log_prob(x, condition, seed=seed)

    def sample(self, n: int, seed: int, condition: np.ndarray | None = None, *, round: bool = True) -> np.ndarray:
        if not round and self.schema is not None and self.schema.has_grid:
            raise ValueError(
                f"{self.flow.folder}: an exported model rounds its samples itself. Leave --no-round out, or give the "
                "folder of the fit."
            )
        return super().sample(n, seed, condition, round=round)

    def _draw(self, n: int, seed: int, condition: np.ndarray | None) -> np.ndarray:
        if condition is None:
            return self.flow.sample(n, seed=seed)
        samples = self.flow.sample(n * len(condition), seed=seed, condition=np.repeat(condition, n, axis=0))
        return np.swapaxes(samples.reshape(len(condition), n, -1), 0, 1)


def load_any(path: str | Path, *, images: bool = False) -> Model:
    """Loads a model to query: as `load_model`, or from the folder of an export or of a version.

    Raises:
      OSError: if there is none.
      ValueError: if it is not a `FlowModel` over a table's rows or, if `images`, over images.
    """
    path = Path(path)
    exported = (path / "saved_model.pb").exists() or any(path.glob("[0-9]*/saved_model.pb"))
    if not exported:
        return load_model(path, images=images)
    start_tensorflow(only=True)
    from tfp_nvp import serving

    flow = serving.load(path)
    if len(flow.event_shape) not in ((1, 3) if images else (1,)):
        raise ValueError(f"{path}: not a model of a table's rows, but of events {list(flow.event_shape)}.")
    names = flow.columns
    return Exported(flow, list(names.get("x", [])), list(names.get("condition", [])))


def load_model(path: str | Path, *, images: bool = False) -> Model:
    """Loads the model in a `fit` folder or a .keras file; of vectors or, if `images`, of images.

    Raises:
      OSError: if there is none.
      ValueError: if it is not a `FlowModel` over a table's rows.
    """
    path = Path(path)
    file = path / "flow.keras" if path.is_dir() else path
    with file.open("rb"):
        pass
    start_tensorflow()
    from tfp_nvp import training
    from tfp_nvp._limits import read_config
    from tfp_nvp.training import FlowModel

    try:
        _check_name(read_config(file))
    except ValueError as error:
        raise ValueError(f"{file}: not a model that can be loaded: {error}") from error
    flow = training.load_model(file)
    if not isinstance(flow, FlowModel) or len(flow.distribution.event_shape) not in ((1, 3) if images else (1,)):
        raise ValueError(f"{file}: not a FlowModel over vectors, but a {type(flow).__name__}.")
    written = _metrics(file.with_name("metrics.json"))
    columns, conditions = _names(flow.schema, written)
    return Model(flow, columns, conditions, metrics=written)


def _check_name(config: Any) -> None:
    """Refuses another model than a `FlowModel` before it is built."""
    name, expected = config.get("registered_name") if isinstance(config, dict) else None, "tfp_nvp>FlowModel"
    if name != expected:
        raise ValueError(f"its model is a {name!r}, not a {expected!r}.")


def _names(schema: Any, written: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Names of columns and of the condition's, of the model itself; of metrics.json for one that has none."""
    if schema is not None and (schema.columns or schema.condition_columns):
        return list(schema.columns or []), list(schema.condition_columns or [])
    return written.get("columns", []), written.get("condition_columns", [])


def _metrics(file: Path) -> dict[str, Any]:
    """The content of the metrics.json beside a model; empty if there is none.

    Raises:
      ValueError: if it is not what `fit` writes.
    """
    if not file.exists():
        return {}
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not a JSON object: {error}") from error
    lists = [written.get(f"{of}columns", []) if isinstance(written, dict) else None for of in ("", "condition_")]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
        raise ValueError(f"{file}: not a JSON object with lists of names of columns. Remove it to do without names.")
    return written


def draw_corner(
    model: Model, x: np.ndarray, condition: np.ndarray | None, names: Sequence[str], seed: int, path: Path
) -> None:
    """Plots rows of data against samples for the same conditions."""
    from tfp_nvp.evaluation import plot_corner

    rows = np.random.default_rng(seed).permutation(len(x))[:_DRAWN]
    samples = model.sample(_DRAWN, seed) if condition is None else model.sample(1, seed, condition[rows])[:, 0]
    plot_corner(x[rows], samples, names, path)


def draw_density(model: Model, x: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Plots the density over two columns, in the range of the middle 99 % of the data."""
    from tfp_nvp.evaluation import plot_density_2d

    low, high = np.percentile(x, [0.5, 99.5], axis=0)
    margin = 0.15 * (high - low)
    plot_density_2d(model.log_prob, list(zip(low - margin, high + margin, strict=True)), x, path, names=names)


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
