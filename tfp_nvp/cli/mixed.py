"""Tables with words, gaps and dates: fits a `TableModel`, and asks it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp.cli import models, outputs, tables
from tfp_nvp.cli.fitting import Split, say

if TYPE_CHECKING:  # commands without a table do not wait for pandas
    import pandas as pd

#: The name of the model's file in a fit's folder.
FILE = "table.keras"
_ISO_DATE = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?"


def not_numbers(table: tables.Table, columns: Sequence[str]) -> dict[str, str]:
    """The columns that a flow can't have, and why: words, gaps, dates; none where a number is infinite.

    Neither model can have that, and the flow's refusal lists it.

    Raises:
      ValueError: for a column of numbers with a word in it, which is more likely wrong than a category.
    """
    import pandas as pd

    found = {}
    for name in columns:
        column = table.frame.get(name)
        if column is None or column.dtype.kind in "mc":
            continue  # `select` refuses it
        is_number = pd.api.types.is_numeric_dtype(column)
        if not is_number and column.dtype.kind != "M":
            known = column.dropna()
            share = pd.to_numeric(known, errors="coerce").notna().mean() if len(known) else 0.0
            if share > 0.5:
                table.select([name])  # raises, naming the row, if one of them is no number
        if not is_number:
            found[name] = "dates" if column.dtype.kind == "M" else "words"
        elif np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)).any():
            return {}
        elif column.isna().any():
            found[name] = "missing cells"
    return found


def fit(
    table: tables.Table,
    columns: list[str],
    out: Path,
    *,
    schema_file: Path | None,
    test_split: float,
    validation_split: float | None,
    seed: int,
    quiet: bool,
    **options: Any,
) -> None:
    """Fits a `TableModel` to columns of a table, and writes its folder: model, schema, metrics and picture."""
    frame = frame_of(table, columns)
    split = Split.of(len(frame), test=test_split, validation=validation_split, columns=len(columns), seed=seed)
    text = None if schema_file is None else schema_file.read_text(encoding="utf-8")
    nvp = models.start_tensorflow(quiet=quiet)
    started = time.perf_counter()
    schema = nvp.Schema.of(frame) if text is None else nvp.Schema.from_json(text).completed(frame)
    model = nvp.fit_table(
        frame.iloc[split.fitted],
        schema=schema,
        validation_split=validation_split,
        seed=seed,
        verbose=0 if quiet else 1,
        **options,
    )
    seconds, history = round(time.perf_counter() - started, 2), model.history.history
    test = _nll(model, frame.iloc[split.test]) if len(split.test) else None
    metrics = {
        "data": table.name,
        "model": "table",
        "rows": {"fitted": len(split.fitted), "test": len(split.test)},
        "columns": list(schema),
        "seed": seed,
        "validation_split": validation_split,
        "test_split": test_split,
        **options,
        "epochs_run": len(history["loss"]),
        "nll": {"unit": "nats", "validation": min(history["val_nll"]), "test": test},
        "seconds": seconds,
        "versions": outputs.versions(),
    }
    from tfp_nvp.evaluation import plot_history

    with outputs.new_folder(out) as folder:
        model.save(folder / FILE)
        (folder / "schema.json").write_text(model.schema.to_json(), encoding="utf-8")
        outputs.write_json(metrics, folder / "metrics.json")
        plot_history(history, folder / "training.png")
    if test is not None:
        say(f"Test NLL: {test['mean']:.4f} ± {test['standard_error']:.4f} nats ({len(split.test):,} rows)", quiet)
    say(f"Model, schema.json, metrics.json and a picture: {out}", quiet)


def is_table_model(path: Path) -> bool:
    """Whether a fit's folder, or a .keras file, holds a `TableModel`."""
    if path.is_dir():
        return (path / FILE).exists()
    if path.suffix != ".keras" or not path.exists():
        return False
    models.start_tensorflow()
    from tfp_nvp._limits import read_config

    try:
        config = read_config(path)
    except ValueError:
        return False  # `load_model` says why
    return isinstance(config, dict) and config.get("registered_name") == "tfp_nvp>TableModel"


def load(path: Path) -> Any:
    """The `TableModel` of a fit's folder or a .keras file."""
    return models.start_tensorflow().load_model(path / FILE if path.is_dir() else path)


def frame_of(table: tables.Table, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a table, in which text that is all dates, such as 2024-02-29, is dates.

    Raises:
      ValueError: for columns that there are not.
    """
    import pandas as pd

    unknown = [name for name in columns if name not in table.frame]
    if unknown:
        raise ValueError(f"{table.name}: unknown column {unknown[0]!r}; it has {', '.join(table.columns[:20])}.")
    frame = table.frame[list(columns)].copy()
    for name in frame:
        column = frame[name]
        known = column.dropna()
        if len(known) and not pd.api.types.is_numeric_dtype(column) and column.dtype.kind != "M":
            text = known.astype(str)
            if text.str.fullmatch(_ISO_DATE).all():
                frame[name] = pd.to_datetime(column, format="ISO8601")
    return frame


def evaluate(path: Path, table: tables.Table) -> dict[str, float]:
    """Mean negative log-likelihood of a table's rows, and its standard error."""
    model = load(path)
    found = _nll(model, frame_of(table, [name for name in model.schema if name in table.frame] or list(model.schema)))
    return {"rows": len(table.frame), "nll": found["mean"], "standard_error": found["standard_error"]}


def sample(path: Path, n: int, given: Sequence[str], seed: int, out: Path) -> int:
    """Writes n rows, given values "NAME=VALUE", and returns how many."""
    model = load(path)
    outputs.check_space(n, len(model.schema), out)
    values = dict(_given(model.schema, text) for text in given)
    _write(model.sample(n, given=values or None, seed=seed), out)
    return n


def impute(path: Path, table: tables.Table, num_samples: int | None, seed: int, out: Path) -> int:
    """Writes a table without gaps, or several with a column `imputation`; returns how many cells were filled."""
    import pandas as pd

    model = load(path)
    frame = frame_of(table, table.columns)
    gaps = int(frame[[name for name in model.schema if name in frame]].isna().to_numpy().sum())
    if num_samples is None:
        _write(model.impute(frame), out)
        return gaps
    drawn = model.impute(frame, num_samples=num_samples, seed=seed)
    _write(pd.concat([each.assign(imputation=i) for i, each in enumerate(drawn, 1)], ignore_index=True), out)
    return gaps


def check_writable(path: Path) -> None:
    """Raises `ValueError` unless the suffix is one of files that hold words."""
    tables.check_writable(path)
    if path.suffix.lower() == ".npy":
        raise ValueError(f"{path.name}: a .npy file holds numbers alone; give a .csv, .tsv or .parquet file.")


def _given(schema: Any, text: str) -> tuple[str, Any]:
    """The name and the value of "NAME=VALUE"."""
    name, equals, value = text.partition("=")
    if not equals or name not in schema:
        raise ValueError(f"--given: {text!r} must be NAME=VALUE; the columns are {', '.join(schema)}.")
    labels = {str(label): label for label in getattr(schema[name], "categories", ())}
    return name, labels.get(value, value)


def _nll(model: Any, frame: pd.DataFrame) -> dict[str, float]:
    values = -model.log_prob(frame)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return {"mean": float(values.mean()), "standard_error": float(error)}


def _write(frame: pd.DataFrame, path: Path) -> None:
    with outputs.new_file(path) as file:
        tables.write_frame(frame, file)
