"""A table of every type of column, and a model of it that is not trained."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import tfp_nvp as nvp
from tfp_nvp.any_order import AtomReal, Bounded, Count, Periodic, Positive, Schema


def people(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """A table whose columns depend on each other, with gaps in every column but one."""
    rng = np.random.default_rng(seed)
    region = rng.choice(["north", "south", "east"], rows)
    age = rng.poisson(40 + 8 * (region == "south"), rows)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D")
    moment = pd.Timestamp("2024-01-01", tz="Europe/Berlin") + pd.to_timedelta(
        rng.integers(0, 3 * 10**7, rows), unit="s"
    )
    table = pd.DataFrame(
        {
            "age": age.astype(float),
            "income": np.where(rng.random(rows) < 0.2, 0.0, np.exp(rng.normal(8 + age / 40, 0.5))),
            "region": region,
            "height": rng.normal(170, 9, rows),
            "grade": pd.Categorical(rng.choice(["low", "mid", "high"], rows), ["low", "mid", "high"], ordered=True),
            "member": rng.random(rows) < 0.3,
            "day": day,
            "temperature": np.round(rng.normal(20, 5, rows), 1),
            "hour": rng.uniform(0, 24, rows),
            "balance": pd.array(rng.integers(-50, 50, rows), dtype="Int64"),
            "moment": moment,
            "share": rng.beta(2, 3, rows),
            "weight": np.exp(rng.normal(4, 0.8, rows)),
        }
    )
    for number, name in enumerate(table.columns.drop("member")):
        table.loc[number :: 9 + number, name] = pd.NA if name == "balance" else None
    return table


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return people()


@pytest.fixture(scope="session")
def schema(table: pd.DataFrame) -> Schema:
    """Of every column type, fitted."""
    schema = Schema.of(table).replace(
        hour=Periodic(low=0, high=24),
        income=AtomReal(low=0),
        share=Bounded(low=0, high=1),
        weight=Positive(),
        age=Count(high=120),
    )
    completed = schema.completed(table)
    return completed.fitted(completed.numbers(table))


def untrained(schema: Schema, seed: int = 0) -> nvp.TableModel:
    """A model with random weights, whose conditionals depend on what is known."""
    model = nvp.TableModel(schema, hidden_units=16, num_blocks=1, num_components=4, num_bins=4, dropout=0.0, seed=seed)
    rng = np.random.default_rng(seed)
    for variable in model.network.mlp.output_layer.weights:
        variable.assign(rng.normal(0, 0.1, variable.shape))
    return model


@pytest.fixture(scope="session")
def model(schema: Schema) -> nvp.TableModel:
    return untrained(schema)
