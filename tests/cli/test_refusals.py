"""Bad input: one line, exit code 2, nothing written, no wait for TensorFlow."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import people
from tfp_nvp import flows
from tfp_nvp._names import VECTOR_FLOWS
from tfp_nvp.cli import models
from tfp_nvp.flows._image_recipe import ImageRecipe


def spoiled(path, **cells):
    """`people` with single cells changed: column=(row from 1, value)."""
    frame = people().astype(object)
    for column, (row, value) in cells.items():
        frame.loc[row - 1, column] = value
    frame.to_csv(path, index=False)
    return path


def test_missing_file(refused_early):
    assert refused_early("fit", "none.csv", "--out", "run") == "none.csv: No such file or directory."


def test_folder_for_a_file(refused_early, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert refused_early("fit", "folder.csv", "--out", "run") == "folder.csv: Is a directory."


def test_unknown_kind_of_file(refused_early, tmp_path):
    (tmp_path / "data.xlsx").write_bytes(b"")
    assert "suffix must be one of .csv" in refused_early("fit", "data.xlsx", "--out", "run")


def test_unreadable_file(refused_early, tmp_path):
    (tmp_path / "data.parquet").write_bytes(b"no\nparquet")
    assert "data.parquet: can't be read as .parquet" in refused_early("fit", "data.parquet", "--out", "run")


def test_text_in_a_number_column(refused_early, tmp_path):
    path = spoiled(tmp_path / "people.csv", height=(17, "tall"))
    assert refused_early("fit", path, "--out", "run") == "people.csv: column 'height', row 17: 'tall' is not a number."


def test_constant_column(refused_early, tmp_path):
    people().assign(legs=2).to_csv(tmp_path / "people.csv", index=False)
    message = refused_early("fit", "people.csv", "--out", "run")
    assert "column 'legs' is constant (2 in every row)" in message
    assert "--columns" in message


def test_constant_condition(refused_early, tmp_path):
    people().assign(legs=2).to_csv(tmp_path / "people.csv", index=False)
    assert "'legs' is constant" in refused_early("fit", "people.csv", "--out", "run", "--condition", "legs")


def test_nan(refused_early, tmp_path):
    path = spoiled(tmp_path / "people.csv", age=(3, np.nan), weight=(5, np.inf))
    message = refused_early("fit", path, "--out", "run")
    assert "'age' (row 3)" in message
    assert "'weight' (row 5)" in message


def test_too_few_rows(refused_early, tmp_path):
    people(21).to_csv(tmp_path / "people.csv", index=False)
    message = refused_early("fit", "people.csv", "--out", "run")
    assert message == "too few rows: a fit of 3 column(s) needs at least 20; of 21, 19 are left beside the test's 2."


def test_unknown_flow(refused_early, table):
    assert refused_early("fit", table, "--out", "run", "--flow", "wow") == (
        f"unknown flow 'wow'; the flows are {', '.join(VECTOR_FLOWS)}."
    )


def test_the_known_flows_are_the_public_ones_of_tables():
    of_tables = [name for name in flows.__all__ if not issubclass(getattr(flows, name), ImageRecipe)]
    assert sorted(VECTOR_FLOWS) == sorted(of_tables)
    assert models.flow_name("neural-spline_flow") == "NeuralSplineFlow"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "age,size"], "unknown column 'size'; it has age, height, weight"),
        (["--condition", "size"], "unknown column 'size'"),
        (["--columns", "age,age"], "must be different column names"),
        (["--columns", "age", "--condition", "age"], "both modelled and conditioned on"),
        (["--condition", "age,height,weight"], "no column is left"),
        (["--support", "size=0:1"], "unknown column 'size'"),
        (["--periodic", "size=0:1"], "--periodic: unknown column 'size'"),
        (["--periodic", "age=0:"], "--periodic: 'age=0:' must have two ends, which are one point, such as hour=0:24"),
        (["--periodic", "age=5:1"], "--periodic: 'age=5:1' must be LOW:HIGH"),
        (["--support", "age=0"], "must be LOW:HIGH or NAME=LOW:HIGH"),
        (["--support", "age=5:1"], "LOW < HIGH"),
        (["--support", "age=30:"], "column 'age', row"),
        (["--epochs", "0"], "--epochs"),
        (["--test-split", "2"], "--test-split"),
        (["--frob"], "No such option"),
    ],
)
def test_bad_options(refused_early, table, arguments, message):
    assert message in refused_early("fit", table, "--out", "run", *arguments)


@pytest.mark.parametrize("arguments", [["frob"], ["fit"], ["fit", "x.csv"], ["sample", "m", "--out", "x.csv"]])
def test_bad_usage(refused_early, arguments):
    refused_early(*arguments)


def test_arrays_by_key(refused_early, tmp_path):
    np.savez(tmp_path / "data.npz", a=np.ones([3, 2]), b=np.ones([3, 2]))
    assert "choose one with --key: a, b" in refused_early("fit", "data.npz", "--out", "run")
    assert "no array 'c'" in refused_early("fit", "data.npz", "--out", "run", "--key", "c")


def test_an_output_that_exists(refused_early, table, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    assert refused_early("fit", table, "--out", "run") == (
        "run exists and is not empty. Choose another place or remove it."
    )
    assert "exists already" in refused_early("fit", table, "--out", "run/mine.txt")
    assert "not a folder" in refused_early("fit", table, "--out", "run/mine.txt/run")


@pytest.mark.parametrize(
    "command",
    [["evaluate", "none", "TABLE"], ["plot", "none", "TABLE", "--out", "o"], ["export", "none", "o"]],
)
def test_a_model_that_does_not_exist(refused_early, table, command):
    assert "none: No such file" in refused_early(*[table if word == "TABLE" else word for word in command])


def test_a_sample_file_of_unknown_kind(refused_early):
    assert "suffix must be one of" in refused_early("sample", "none", "-n", 1, "--out", "x.png")


def test_a_model_that_is_none(refused, table, tmp_path):
    (tmp_path / "flow.keras").write_text("no model")
    assert "flow.keras: not a model that can be loaded" in refused("evaluate", "flow.keras", table)


def test_what_fit_refuses_is_one_line_too(refused, table, monkeypatch):
    import tfp_nvp.training

    def fit(*args, **kwargs):
        raise ValueError("`x` must be\nbetter.")

    monkeypatch.setattr(tfp_nvp.training, "fit", fit)
    assert refused("fit", table, "--out", "run") == "`x` must be better."


@pytest.mark.parametrize("place", ["fit", "write"])
def test_control_c_leaves_nothing(run, table, tmp_path, monkeypatch, place):
    from tfp_nvp.cli import commands

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "fit_table", interrupt)
    if place == "write":
        monkeypatch.setattr(commands, "fit_table", lambda *args, **kwargs: (None, {}))
        monkeypatch.setattr(commands, "fit_outputs", interrupt)
    assert run("fit", table, "--out", tmp_path / "run").code == 130
    assert list(tmp_path.iterdir()) == []


_IN_A_PROCESS = """
import sys

sys.argv = ["tfp-nvp", *sys.argv[1:]]
from tfp_nvp.cli import main

try:
    main()
finally:
    loaded = {"tensorflow", "keras"} & set(sys.modules)
    print(*loaded, file=sys.stderr, end="")
"""


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["fit", "none.csv", "--out", "run"]])
def test_tensorflow_is_not_loaded_for_help_and_bad_input(tmp_path, arguments):
    found = subprocess.run(
        [sys.executable, "-c", _IN_A_PROCESS, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    if "--help" in arguments:
        assert (found.returncode, found.stderr) == (0, "")
    else:
        assert (found.returncode, found.stderr) == (2, "tfp-nvp: error: none.csv: No such file or directory.\n")
    assert list(tmp_path.iterdir()) == []


def test_wide_and_long_messages_stay_one_line(refused_early, tmp_path):
    pd.DataFrame(np.ones([3, 100]), columns=[f"c\n{i}" for i in range(100)]).to_csv(tmp_path / "wide.csv", index=False)
    message = refused_early("fit", "wide.csv", "--out", "run", "--columns", "z")
    assert "(100 in all)" in message


def test_integers_that_float64_skips(refused_early, tmp_path):
    frame = people()
    frame["number"] = 2**60 + np.arange(len(frame))
    frame.to_csv(tmp_path / "people.csv", index=False)
    message = refused_early("fit", "people.csv", "--out", "run")
    assert f"column 'number' holds integers beyond ±2⁵³, such as {2**60 + len(frame) - 1}" in message
