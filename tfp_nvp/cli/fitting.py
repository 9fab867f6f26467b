"""Splits a table, fits a model to it, and writes the results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from tfp_nvp.cli import outputs
from tfp_nvp.cli.models import Model, draw_corner, draw_density, start_tensorflow

# Of fewer rows, a flow learns no more than a mean and a covariance.
_MIN_ROWS = 20


@dataclass(frozen=True)
class Split:
    """A random split into fitted rows (training and validation) and test rows.

    Attributes:
      fitted, test: row indices, in order.
      validation: fraction of the fitted rows for validation; None for `fit`'s default.
      test_split: fraction of all rows in `test`.
      seed: of the split.
    """

    fitted: np.ndarray
    test: np.ndarray
    validation: float | None
    test_split: float
    seed: int

    @classmethod
    def of(cls, rows: int, *, test: float, validation: float | None, columns: int, seed: int) -> Split:
        """Draws a random split.

        Raises:
          ValueError: if too few rows are left to fit.
        """
        order = np.random.default_rng(seed).permutation(rows)
        count = round(rows * test)
        least = max(_MIN_ROWS, columns + 1)
        if rows - count < least:
            raise ValueError(
                f"too few rows: a fit of {columns} column(s) needs at least {least}; "
                f"of {rows}, {rows - count} are left beside the test's {count}."
            )
        return cls(np.sort(order[count:]), np.sort(order[:count]), validation, test, seed)


def parse_support(texts: Sequence[str], columns: Sequence[str], x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Parses "LOW:HIGH" and "NAME=LOW:HIGH" to bounds (low [d], high [d]), infinite by default.

    Raises:
      ValueError: for other texts, unknown columns, or data outside.
    """
    if not texts:
        return None
    low, high = np.full(len(columns), -np.inf), np.full(len(columns), np.inf)
    for text in texts:
        name, interval = _named("--support", text, columns)
        where = slice(None) if not name else list(columns).index(name)
        low[where], high[where] = _interval("--support", text, interval)
    outside = np.argwhere((x < low) | (x > high))
    if len(outside):
        row, column = outside[0]
        raise ValueError(
            f"--support: column {columns[column]!r}, row {row + 1}: {x[row, column]:g} is outside "
            f"[{low[column]:g}, {high[column]:g}]; so are {len(outside) - 1} more value(s)."
        )
    return low, high


def parse_periodic(texts: Sequence[str], columns: Sequence[str]) -> dict[str, tuple[float, float]] | None:
    """Parses "LOW:HIGH" and "NAME=LOW:HIGH" to the ends of periods, by column.

    Raises:
      ValueError: for other texts, infinite ends, or unknown columns.
    """
    periods: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, interval = _named("--periodic", text, columns)
        ends = _interval("--periodic", text, interval)
        if not np.isfinite(ends).all():
            raise ValueError(f"--periodic: {text!r} must have two ends, which are one point, such as hour=0:24.")
        periods |= dict.fromkeys([name] if name else columns, ends)
    return periods or None


def _named(option: str, text: str, columns: Sequence[str]) -> tuple[str, str]:
    """The name of "NAME=LOW:HIGH", "" without one, and the rest."""
    name, _, interval = text.rpartition("=")
    if name and name not in columns:
        raise ValueError(f"{option}: unknown column {name!r}; the modelled columns are {', '.join(columns)}.")
    return name, interval


def fit_table(
    x: np.ndarray,
    condition: np.ndarray | None,
    split: Split,
    recipe: str | None,
    support: tuple[np.ndarray, np.ndarray] | None,
    columns: list[str],
    condition_columns: list[str],
    *,
    quiet: bool,
    periodic: dict[str, tuple[float, float]] | None = None,
    checkpoint_dir: Path | None = None,
    **options: Any,
) -> tuple[Model, dict[str, Any]]:
    """Fits a model to a table; returns it and the content of `metrics.json`."""
    import pandas as pd

    nvp = start_tensorflow(quiet=quiet)
    started = time.perf_counter()
    flow = nvp.training.fit(
        pd.DataFrame(x[split.fitted], columns=columns),
        None if condition is None else pd.DataFrame(condition[split.fitted], columns=condition_columns),
        flow=None if recipe is None else getattr(nvp.flows, recipe),
        support=support,
        periodic=periodic,
        validation_split=split.validation,
        seed=split.seed,
        verbose=0 if quiet else 1,
        checkpoint_dir=checkpoint_dir,
        **options,
    )
    seconds = time.perf_counter() - started
    model = Model(flow, columns, condition_columns, flow.history.history)  # Keras' `predict` may replace `flow.history`
    test: tuple[float, float] | tuple[None, None] = (None, None)
    if len(split.test):
        test = model.nll(x[split.test], None if condition is None else condition[split.test])
    metrics: dict[str, Any] = {
        "rows": {"fitted": len(split.fitted), "test": len(split.test)},
        "columns": columns,
        "condition_columns": condition_columns,
        "support": None if support is None else [list(map(float, bound)) for bound in support],
        "periodic": periodic,
        "flow": recipe or "default",
        "distribution": flow.distribution.name.rstrip("/"),
        "trainable_parameters": int(sum(np.prod(v.shape, dtype=int) for v in flow.trainable_variables)),
        "seed": split.seed,
        "validation_split": split.validation,
        "test_split": split.test_split,
        **options,
        **_best_epoch(model.history, test, model.noise_draws),
        "seconds": round(seconds, 2),
        "versions": outputs.versions(),
    }
    if options.get("stack"):  # the history is that of its first flow
        metrics["nll"] |= {"train": None, "validation": None}
        metrics["stack"] = flow.distribution.report().splitlines()
    return model, metrics


def say(text: str, quiet: bool) -> None:
    """Says on stderr what is going on."""
    if not quiet:
        click.echo(text, err=True)


def fit_outputs(
    model: Model, x: np.ndarray, condition: np.ndarray | None, metrics: dict[str, Any], seed: int, folder: Path
) -> None:
    """Writes the model, its metrics and its pictures into a folder."""
    from tfp_nvp.evaluation import plot_history

    model.flow.save(folder / "flow.keras")
    outputs.write_json(metrics, folder / "metrics.json")
    plot_history(model.history, folder / "training.png")
    draw_corner(model, x, condition, model.columns, seed, folder / "corner.png")
    if model.size == 2 and condition is None:
        draw_density(model, x, model.columns, folder / "density.png")


def _best_epoch(
    history: dict[str, list[float]], test: tuple[float, float] | tuple[None, None], noise_draws: int
) -> dict[str, Any]:
    """Epochs run, and NLL in nats: training (averaged over the best epoch), validation at the best epoch, and test."""
    training = history.get("nll", history["loss"])
    validation = history.get("val_nll", history.get("val_loss"))
    best = int(np.nanargmin(validation or training))
    return {
        "epochs_run": len(training),
        "best_epoch": best + 1,
        "nll": {
            "unit": "nats",
            "train": float(training[best]),
            "validation": float(validation[best]) if validation else None,
            "test": test[0],
            "test_standard_error": test[1],
            "noise_draws": noise_draws,  # of values on a grid, for validation and test
        },
    }


def _interval(option: str, text: str, interval: str) -> tuple[float, float]:
    low, colon, high = interval.partition(":")
    try:
        bounds = float(low or "-inf"), float(high or "inf")
    except ValueError:
        bounds = np.nan, np.nan
    if not colon or not bounds[0] < bounds[1]:
        raise ValueError(f"{option}: {text!r} must be LOW:HIGH or NAME=LOW:HIGH with LOW < HIGH, such as age=0:120.")
    return bounds
