"""Fits a table of mixed columns in one call."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfp_nvp import checks
from tfp_nvp._keywords import answering
from tfp_nvp.any_order.frames import as_frame
from tfp_nvp.any_order.schema import Schema
from tfp_nvp.training._any_order.table_model import TableModel
from tfp_nvp.training._any_order.table_plan import TablePlan, table_plan_for
from tfp_nvp.training._tables.options import checked_options
from tfp_nvp.training._tables.part import Part
from tfp_nvp.training._tables.progress import say
from tfp_nvp.training._tables.split import split
from tfp_nvp.training._tables.time_limit import TimeLimit
from tfp_nvp.training._tables.train import train_model


@answering
def fit_table(
    x: Any,
    *,
    schema: Schema | None = None,
    sample_weight: Any = None,
    validation_data: Any = None,
    validation_split: float | None = None,
    groups: Any = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    verbose: int | str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    time_limit: float | None = None,
    plan: TablePlan | None = None,
) -> TableModel:
    """Fits a density of the rows of a table whose columns may be of any type, with missing cells.

    Text, categories, counts, real numbers, dates and booleans are modelled together, as they are; `TableModel` says
    how, and what can be asked. Training ends when the validation likelihood no longer improves, and the model keeps the
    exponentially averaged weights of the best epoch.

    Args:
      x: a `pandas.DataFrame`, a `pyarrow.Table`, or a dict of columns; of at least 20 rows. NaN, None, NaT and NA are
        missing cells, assumed to be missing at random.
      schema: what the columns are; by default `Schema.of(x)`. Columns that it does not have are not modelled.
      sample_weight: relative weights [n] of the rows, not negative.
      validation_data: a table, or a tuple (table, sample_weight), whose rows decide when to stop; by default rows are
        held out.
      validation_split: fraction of rows held out, in (0, 1); by default 0.2 below 5,000 rows, else 0.1.
      groups: labels [n]; rows of one group (of one patient, of one day) stay on one side of the split.
      epochs: passes over the data, at most; by default those of the plan's steps.
      batch_size, learning_rate: by default chosen from the number of rows.
      seed: an int that makes split, initial weights, order of rows and of columns reproducible.
      verbose: 1 or "auto" for the schema and a progress bar on stderr, 2 for a line per epoch, 0 for silence.
      callbacks: more Keras callbacks.
      time_limit: seconds from the call, after which the fit ends; the best weights so far are restored.
      plan: sizes and training schedule; by default chosen from the number of rows.

    Returns:
      A fitted `TableModel`.

    Raises:
      TypeError, ValueError: for a table that contradicts the schema, or has too few rows, naming columns and rows.

    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> people = pd.DataFrame({"age": rng.poisson(40, 100), "region": rng.choice(["north", "south"], 100)})
    >>> model = fit_table(people, epochs=1, seed=0, verbose=0)
    >>> model.sample(3, given={"region": "south"}, seed=1)["region"].tolist()
    ['south', 'south', 'south']
    """
    callbacks = checked_options(verbose, callbacks, plan, TablePlan, "tfp_nvp.training.table_plan_for(1000)")
    limit = None if time_limit is None else TimeLimit(time_limit)
    seed = checks.seed_or_random("seed", seed)
    frame = as_frame("x", x)
    if schema is not None:
        checks.instance("schema", schema, Schema, "tfp_nvp.Schema.of(df)")
    schema = (Schema.of(frame) if schema is None else schema).completed(frame)
    if verbose in (1, "auto"):
        say(repr(schema))
    fitted, train, held_out = _parts(schema, frame, sample_weight, groups, validation_data, validation_split, seed)
    plan = plan or table_plan_for(round(train.effective_rows))
    plan = plan.override(len(train), batch_size, epochs, learning_rate)
    model = TableModel(fitted, **plan.sizes, seed=seed)
    model.compile(plan.optimizer(), jit_compile=False, steps_per_execution=plan.steps_per_execution)
    train_model(
        model,
        train,
        held_out,
        plan,
        seed,
        verbose=verbose,
        callbacks=callbacks,
        checkpoint=None,
        time_limit=limit,
        columns=len(schema),
    )
    return model


def _parts(
    schema: Schema, frame: Any, sample_weight: Any, groups: Any, validation_data: Any, fraction: Any, seed: int
) -> tuple[Schema, Part, Part]:
    """The schema fitted to the training rows, and the encoded rows of both parts.

    The rows are split by their numbers, with 0 for a gap beside a mask of the gaps: equal rows stay on one side, if
    there is a column by which they can be told from rows that are equal by chance.
    """
    table = Part.of(_with_mask(schema.numbers(frame)), None, sample_weight, groups)
    if validation_data is not None:
        given = validation_data if isinstance(validation_data, tuple) else (validation_data,)
        if not 1 <= len(given) <= 2:
            raise ValueError(
                f"`validation_data` must be a table or a tuple (table, sample_weight); got a tuple of {len(given)}."
            )
        numbers = _with_mask(schema.numbers(given[0], "validation_data"))
        validation_data = (numbers, None, given[1] if len(given) > 1 else None)
    find_equal = any(column.density and not column.on_grid for column in schema.columns)
    train, held_out = split(table, fraction=fraction, validation_data=validation_data, seed=seed, find_equal=find_equal)
    fitted = schema.fitted(_without_mask(train.x))
    return fitted, _encoded(fitted, train), _encoded(fitted, held_out)


def _with_mask(numbers: np.ndarray) -> np.ndarray:
    """Finite numbers [n, 2 d]: 0 for gaps, and whether a cell is one."""
    gaps = np.isnan(numbers)
    return np.concatenate([np.where(gaps, 0.0, numbers), gaps.astype(np.float64)], axis=1)


def _without_mask(x: np.ndarray) -> np.ndarray:
    numbers, gaps = np.split(x, 2, axis=1)
    return np.where(gaps > 0, np.nan, numbers)


def _encoded(schema: Schema, part: Part) -> Part:
    """A part whose rows are the network's numbers."""
    return dataclasses.replace(part, x=schema.encode(_without_mask(part.x)).flat())
