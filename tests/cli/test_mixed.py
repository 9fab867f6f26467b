"""The command line on a table with words, dates and gaps: fit, evaluate, sample, impute."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import call


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with people.csv, and the fit `run` to it."""
    folder, rng = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.poisson(40, 150),
            "region": rng.choice(["north", "south"], 150),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 150), unit="D"),
            "height": rng.normal(170, 9, 150).round(3),
        }
    )
    table.loc[::6, "region"] = None
    table.loc[::7, "height"] = None
    table.to_csv(folder / "people.csv", index=False)
    assert call("fit", folder / "people.csv", "--out", folder / "run", "--epochs", "1", "--quiet") == 0
    return folder


def test_a_fit_says_what_columns_were_taken_for(folder, run, tmp_path):
    (tmp_path / "schema.json").write_text('{"age": {"type": "Real"}, "region": {"type": "Category"}}')
    arguments = ("--out", tmp_path / "run", "--epochs", 1, "--schema", tmp_path / "schema.json")
    result = run("fit", folder / "people.csv", *arguments)
    assert result.code == 0, result.err
    assert result.err.startswith("Model of a table of mixed columns\n")
    assert "age: Real()" in result.err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["columns"] == ["age", "region"]


def test_the_folder_of_a_fit(folder):
    assert {path.name for path in (folder / "run").iterdir()} == {
        "table.keras",
        "schema.json",
        "metrics.json",
        "training.png",
    }
    schema = json.loads((folder / "run" / "schema.json").read_text())
    assert [column["type"] for column in schema.values()] == ["Count", "Category", "Date", "Real"]


def test_samples_given_values(folder, run, tmp_path):
    given = ("--given", "region=south", "--given", "age=41", "--given", "since=2024-02-03")
    result = run("sample", folder / "run", "-n", 4, *given, "--out", tmp_path / "rows.csv")
    assert result.code == 0, result.err
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert set(rows["region"]) == {"south"}
    assert set(rows["age"]) == {41}
    assert set(rows["since"]) == {"2024-02-03"}


def test_gaps_are_filled(folder, run, tmp_path):
    table = pd.read_csv(folder / "people.csv")
    gaps = int(table.isna().to_numpy().sum())
    result = run("impute", folder / "run", folder / "people.csv", "--out", tmp_path / "full.csv")
    assert f"{gaps} cells filled" in result.out, result.err
    full = pd.read_csv(tmp_path / "full.csv")
    assert not full.isna().any(axis=None)
    pd.testing.assert_frame_equal(full.mask(table.isna()), table, check_dtype=False)
    run("impute", folder / "run", folder / "people.csv", "--num-samples", 2, "--out", tmp_path / "two.parquet")
    two = pd.read_parquet(tmp_path / "two.parquet")
    assert two["imputation"].tolist() == [1] * 150 + [2] * 150


def test_a_table_is_evaluated(folder, run):
    result = run("evaluate", folder / "run", folder / "people.csv", "--json")
    assert json.loads(result.out)["rows"] == 150
    assert "nats (150 rows)" in run("evaluate", folder / "run", folder / "people.csv").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "{}/run", "-n", "2", "--out", "x.npy"], "a .npy file holds numbers alone"),
        (["sample", "{}/run", "-n", "2", "--given", "region=west", "--out", "x.csv"], "unknown category 'west'"),
        (["sample", "{}/run", "-n", "2", "--given", "region", "--out", "x.csv"], "must be NAME=VALUE"),
        (["evaluate", "{}/run", "{}/people.csv", "--columns", "age"], "leave out --columns"),
        (["fit", "{}/people.csv", "--model", "flow", "--out", "x"], "is not a number"),
        (["fit", "{}/people.csv", "--model", "table", "--flow", "nice", "--out", "x"], "--flow is an option of flows"),
        (["impute", "{}/people.csv", "{}/people.csv", "--out", "x.csv"], "not a model of a table with gaps"),
    ],
)
def test_what_can_not_be_is_refused(arguments, message, folder, refused):
    assert message in refused(*(argument.format(folder) for argument in arguments))
