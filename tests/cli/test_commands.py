"""The commands, from a table to an exported model."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests.cli.conftest import people
from tfp_nvp import serving
from tfp_nvp.cli import models


def test_fit_writes_model_numbers_and_pictures(fitted):
    assert sorted(path.name for path in fitted.iterdir()) == [
        "corner.png",
        "density.png",
        "flow.keras",
        "metrics.json",
        "training.png",
    ]
    assert all(path.stat().st_size > 500 for path in fitted.iterdir())
    assert [path for path in fitted.parent.iterdir() if path != fitted] == []


@pytest.mark.exhaustive
def test_a_stack(run, table, tmp_path):
    out = tmp_path / "run"
    result = run("fit", table, "-o", out, "--columns", "height,weight", "--flow", "nice", "--epochs", 1, "--stack")
    assert "Flow 5 of 5" in result.err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["nll"]["validation"] is None
    assert metrics["nll"]["test"] is not None
    assert sum("nice" in line for line in metrics["stack"]) == 5
    assert (out / "training.png").exists()


def test_metrics_say_what_was_done(fitted):
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert metrics["data"] == "people.csv"
    assert metrics["rows"] == {"fitted": 216, "test": 24}
    assert metrics["columns"] == ["height", "weight"]
    assert metrics["condition_columns"] == []
    assert (metrics["flow"], metrics["seed"], metrics["epochs"], metrics["epochs_run"]) == ("NICE", 3, 2, 2)
    assert (metrics["validation_split"], metrics["test_split"]) == (None, 0.1)
    assert metrics["trainable_parameters"] > 100
    assert metrics["nll"]["unit"] == "nats"
    assert all(np.isfinite(metrics["nll"][name]) for name in ("train", "validation", "test", "test_standard_error"))
    assert set(metrics["versions"]) >= {"python", "tensorflow", "keras", "numpy", "tfp-nvp"}


def test_the_test_nll_is_of_the_rows_held_out(fitted):
    metrics = json.loads((fitted / "metrics.json").read_text())
    order = np.random.default_rng(3).permutation(240)
    held_out = people()[["height", "weight"]].to_numpy()[order[:24]]
    model = models.load_model(fitted)
    np.testing.assert_allclose(model.nll(held_out)[0], metrics["nll"]["test"], rtol=1e-5)


def test_evaluate(run, fitted, table):
    result = run("evaluate", fitted, table)
    assert result.code == 0
    assert "nats (240 rows)" in result.out
    found = json.loads(run("evaluate", fitted / "flow.keras", table, "--json").out)
    model = models.load_model(fitted).flow
    x = people()[["height", "weight"]].to_numpy(np.float32)
    nll = -float(tf.reduce_mean(model.log_prob(x)))
    np.testing.assert_allclose(found["nll"], nll, rtol=1e-4)
    np.testing.assert_allclose(found["bits_per_dim"], nll / np.log(2) / 2, rtol=1e-4)
    np.testing.assert_allclose(found["standard_error"], np.std(model.log_prob(x), ddof=1) / np.sqrt(240), rtol=1e-3)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_sample(run, fitted, tmp_path, suffix):
    out = tmp_path / f"samples{suffix}"
    assert run("sample", fitted, "-n", 50, "--out", out, "--seed", 1).code == 0
    again = tmp_path / f"again{suffix}"
    assert run("sample", fitted, "-n", 50, "--out", again, "--seed", 1).code == 0
    other = tmp_path / f"other{suffix}"
    assert run("sample", fitted, "-n", 50, "--out", other, "--seed", 2).code == 0
    assert out.read_bytes() == again.read_bytes() != other.read_bytes()
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".npy": np.load}[suffix](out)
    assert read.shape == (50, 2)
    if suffix != ".npy":
        assert list(read.columns) == ["height", "weight"]


def test_sample_in_batches_is_complete(fitted, monkeypatch):
    monkeypatch.setattr(models, "_SAMPLE_BATCH", 7)
    samples = models.load_model(fitted).sample(20, seed=0)
    assert samples.shape == (20, 2)
    assert len(np.unique(samples, axis=0)) == 20


def test_conditions(run, conditional, table, tmp_path):
    metrics = json.loads((conditional / "metrics.json").read_text())
    assert (metrics["columns"], metrics["condition_columns"]) == (["height", "weight"], ["age"])
    assert metrics["nll"]["test"] is None
    assert run("evaluate", conditional, table).code == 0
    people(3)[["age"]].to_csv(tmp_path / "ages.csv", index=False)
    assert (
        run("sample", conditional, "-n", 4, "--condition", tmp_path / "ages.csv", "--out", tmp_path / "s.csv").code == 0
    )
    samples = pd.read_csv(tmp_path / "s.csv")
    assert list(samples.columns) == ["age", "height", "weight"]
    np.testing.assert_allclose(samples["age"], np.repeat(people(3)["age"], 4))
    assert samples["height"].nunique() == 12
    assert run("plot", conditional, table, "--out", tmp_path / "pictures").code == 0
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["corner.png"]


def test_a_condition_where_none_is_and_none_where_one_is(refused, fitted, conditional, table):
    assert "takes no condition" in refused("sample", fitted, "-n", 1, "--condition", table, "--out", "s.csv")
    assert "needs a condition" in refused("sample", conditional, "-n", 1, "--out", "s.csv")
    assert "takes no --condition" in refused("evaluate", fitted, table, "--condition", "age")
    assert "the model is of 2 columns; got 1" in refused("evaluate", fitted, table, "--columns", "age")


def test_plot(run, refused, fitted, table, tmp_path):
    out = tmp_path / "pictures"
    assert run("plot", fitted, table, "--out", out).code == 0
    assert sorted(path.name for path in out.iterdir()) == ["corner.png", "density.png"]
    assert "exists and is not empty" in refused("plot", fitted, table, "--out", out)


def test_export(run, fitted, tmp_path):
    result = run("export", fitted, tmp_path / "people")
    assert result.code == 0
    assert result.out.startswith(f"Exported: {tmp_path / 'people' / '1'}\nSize: ")
    served = tf.saved_model.load(str(tmp_path / "people" / "1"))
    x = people()[["height", "weight"]].to_numpy(np.float32)
    log_prob = served.signatures["serving_default"](x=tf.constant(x))["log_prob"]
    np.testing.assert_allclose(log_prob, models.load_model(fitted).log_prob(x), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:`compute` = 'bfloat16' is slower")
def test_an_export_says_where_it_comes_from(run, fitted, tmp_path):
    arguments = ["--label", "stable", "--label", "new", "--weights-dtype", "float16", "--format", "c"]
    arguments += ["--compute", "bfloat16"]
    result = run("export", fitted, tmp_path / "people", *arguments)
    assert "Weights in float16: log_prob of 256 rows is off by" in result.out
    assert "Networks in bfloat16: log_prob of 1,024 rows is " in result.out
    assert "assets.extra/model.c" in result.out
    assert serving.labels(tmp_path / "people") == {"stable": 1, "new": 1}
    about = serving.read_card(tmp_path / "people" / "1")["about"]
    assert about["columns"] == ["height", "weight"]
    metrics = json.loads((fitted / "metrics.json").read_text())
    assert about["test_nll"] == metrics["nll"]["test"]


def test_serve_writes_and_starts(run, refused, fitted, tmp_path, monkeypatch):
    run("export", fitted, tmp_path / "models" / "people")
    arguments = ["serve", tmp_path / "models", "--out", tmp_path / "made"]
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    result = run(*arguments)
    assert "Models: people" in result.out
    assert "tensorflow_model_server is not installed" in result.out
    assert 'base_path: "/models/people"' in (tmp_path / "made" / "models.config").read_text()

    program = tmp_path / "bin" / "tensorflow_model_server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    started = []
    monkeypatch.setattr(os, "execv", lambda *arguments: started.append(arguments))
    assert run(*arguments, "--write-only").code == 0
    assert not started
    run(*arguments, "--port", 9000)
    ((name, command),) = started
    assert name == command[0] == str(program)
    assert {"--port=9000", f"--model_config_file={tmp_path / 'made' / 'local' / 'models.config'}"} <= set(command)

    assert "`max_batch_size` needs `batching=True` (--batching)" in refused(*arguments, "--max-batch-size", 64)
    batching = tmp_path / "made" / "batching_parameters.txt"
    assert not batching.exists()
    assert run(*arguments, "--batching").code == 0
    batching.write_text("mine")
    result = run(*arguments)
    assert "--port=9000" in started[-1][1]
    assert "Kept as you changed them: batching_parameters.txt" in result.out
    assert "(--overwrite)" in refused(*arguments, "--max-batch-size", 64)
    assert batching.read_text() == "mine"
    assert "`overwrite` must name files" in refused(*arguments, "--overwrite-file", "batching")
    assert run(*arguments, "--max-batch-size", 64, "--overwrite-file", "batching_parameters.txt").code == 0
    assert "{ value: 64 }" in batching.read_text()
    batching.write_text("mine")
    assert run(*arguments, "--overwrite").code == 0
    assert "{ value: 64 }" in batching.read_text()
    assert "Batching is off now" in run(*arguments, "--no-batching").out
    assert not batching.exists()

    for version in (2, 3):
        shutil.copytree(tmp_path / "models" / "people" / "1", tmp_path / "models" / "people" / str(version))
    assert "people/1, " not in run(*arguments, "--keep", 3).out
    assert f"Removed: {tmp_path / 'models' / 'people' / '1'}" in run(*arguments, "--keep", 2).out
    result = run("export", fitted, tmp_path / "models" / "people", "--keep", 1)
    assert f"people/2, {tmp_path / 'models' / 'people' / '3'}" in result.out

    assert "no such folder" in refused("serve", tmp_path / "nothing")
    assert "No model in" in refused("serve", tmp_path / "bin", "--out", tmp_path / "other")


def test_bounds(run, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "unit.npy", rng.uniform(size=[200, 2]))
    arguments = ["--flow", "nice", "--support", "0:1", "--epochs", 1, "--quiet", "--validation-split", 0.2]
    result = run("fit", tmp_path / "unit.npy", "--out", tmp_path / "a" / "run", *arguments)
    assert (result.code, result.out, result.err) == (0, "", "")
    metrics = json.loads((tmp_path / "a" / "run" / "metrics.json").read_text())
    assert metrics["support"] == [[0.0, 0.0], [1.0, 1.0]]
    samples = models.load_model(tmp_path / "a" / "run").sample(500, seed=0)
    assert ((samples >= 0) & (samples <= 1)).all()


def test_periods(run, tmp_path):
    np.save(tmp_path / "hours.npy", np.random.default_rng(0).normal(size=[100, 1]) % 24.0)
    arguments = [
        "--flow",
        "circular-spline-flow",
        "--periodic",
        "0:24",
        "--epochs",
        1,
        "--quiet",
        "--validation-split",
        0.2,
    ]
    result = run("fit", tmp_path / "hours.npy", "--out", tmp_path / "run", *arguments)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["periodic"] == {"x1": [0.0, 24.0]}
    samples = models.load_model(tmp_path / "run").sample(500, seed=0)
    assert ((samples >= 0) & (samples < 24)).all()


def test_fits_of_one_seed_are_equal(run, fitted, table, tmp_path):
    arguments = ["--columns", "height,weight", "--flow", "nice", "--epochs", 2, "--seed", 3]
    result = run("fit", table, "--out", tmp_path / "again", *arguments)
    assert result.code == 0
    assert "Test NLL: " in result.out
    first, second = (json.loads((f / "metrics.json").read_text()) for f in (fitted, tmp_path / "again"))
    np.testing.assert_allclose(first["nll"]["test"], second["nll"]["test"], rtol=1e-4)


def test_debug_shows_the_traceback(table):
    from tfp_nvp.cli import main

    with pytest.raises(FileNotFoundError):
        main(["--debug", "fit", "none.csv", "--out", "run"])


def test_as_a_module(tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "tfp_nvp", "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0
    assert found.stdout.startswith("tfp-nvp, version ")


@pytest.mark.slow
@pytest.mark.exhaustive  # its commands are tested one by one
def test_demo(run, tmp_path):
    result = run("demo", "--out", tmp_path / "demo", "--saved-models", tmp_path / "saved_models", "--epochs", 1)
    assert result.code == 0
    for name, pictures in {"breast_cancer": 2, "two_moons": 3}.items():
        assert len(list((tmp_path / "demo" / name).glob("*.png"))) == pictures
        assert (tmp_path / "saved_models" / name / "1" / "saved_model.pb").exists()
    metrics = json.loads((tmp_path / "demo" / "two_moons" / "metrics.json").read_text())
    assert (metrics["flow"], metrics["distribution"]) == ("default", "neural_spline_flow")
    assert result.out.count("asked from a fresh process") == 2
    assert result.out.count("test NLL") == 2


def test_fit_says_on_stderr_what_it_does_and_keeps_to_its_time(run, table, tmp_path):
    arguments = ["fit", table, "--columns", "height,weight", "--flow", "nice", "--epochs", 9999, "--time-limit", 1]
    arguments += ["--checkpoint-dir", tmp_path / "state"]
    result = run(*arguments, "-o", tmp_path / "first")
    assert result.code == 0
    lines = [line.split("\r")[-1] for line in result.err.split("\n") if line.strip()]
    lines = [line for line in lines if not line.startswith(("E0000", "I0000", "W0000", "WARNING"))]
    assert [line.split()[0] for line in lines] == ["Fitting", "epoch", "Stopped", "Drawing"]
    assert "time limit of 1 s" in lines[2]
    assert all(line.startswith(("Test NLL", "Model")) for line in result.out.splitlines())
    metrics = json.loads((tmp_path / "first" / "metrics.json").read_text())
    assert metrics["time_limit"] == 1.0
    again = run(*arguments, "-o", tmp_path / "second", "--quiet")
    assert (again.code, again.out) == (0, "")
    further = json.loads((tmp_path / "second" / "metrics.json").read_text())
    assert further["epochs_run"] >= metrics["epochs_run"]


def test_columns_of_a_named_model_are_taken_by_name(run, refused, fitted, table, tmp_path):
    swapped = pd.read_csv(table)[["weight", "age", "height"]]
    swapped.to_csv(tmp_path / "swapped.csv", index=False)
    answers = {
        run("evaluate", fitted, file, *columns, "--json").out
        for file in (table, tmp_path / "swapped.csv")
        for columns in ([], ["--columns", "height,weight"], ["--columns", "weight,height"])
    }
    assert len(answers) == 1
    message = refused("evaluate", fitted, table, "--columns", "age,height")
    assert "the model was fitted to the columns height, weight; --columns names age, height" in message
    np.savetxt(tmp_path / "nameless.csv", pd.read_csv(table)[["height", "weight"]], delimiter=",")
    assert run("evaluate", fitted, tmp_path / "nameless.csv", "--json").code == 2  # it has no column height
    assert run("evaluate", fitted, tmp_path / "nameless.csv", "--columns", "x1,x2", "--json").out in answers
