"""Columns of integers from the command line: their NLL is that of rows with noise, and samples are integers."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import call
from tfp_nvp.cli import models
from tfp_nvp.training import Schema


@pytest.fixture(scope="module")
def integers(tmp_path_factory):
    """A fit of counts from 0 to 6, half of them held out, and the table."""
    folder = tmp_path_factory.mktemp("integers")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"count": rng.binomial(6, 0.5, 1600), "size": np.round(rng.normal(size=1600), 2)})
    table.to_csv(folder / "table.csv", index=False)
    arguments = ["--flow", "nice", "--support", "count=0:6", "--epochs", 3, "--test-split", 0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert call("fit", folder / "table.csv", "-o", folder / "run", "--quiet", *arguments) == 0
    return folder


def test_test_and_validation_are_of_rows_with_noise(integers, run):
    metrics = json.loads((integers / "run/metrics.json").read_text())
    nll = metrics["nll"]
    assert nll["noise_draws"] == 4
    # 160 validation rows: five standard errors of the difference
    error = nll["test_standard_error"] * np.sqrt(1.0 + 800 / 160)
    assert nll["test"] == pytest.approx(nll["validation"], abs=5 * error)
    # A histogram of the counts beside a Gaussian of the sizes is the best there is: nothing is below by a half nat.
    best = 1.75 + 0.5 * np.log(2.0 * np.pi * np.e)
    assert nll["test"] > best - 0.3
    for model in ("run", "exported"):
        if model == "exported":
            assert run("export", integers / "run", integers / model).code == 0
        result = run("evaluate", integers / model, integers / "table.csv", "--columns", "count,size", "--json")
        found = json.loads(result.out)
        assert found["noise_draws"] == 4
        assert found["nll"] == pytest.approx(nll["test"], abs=5 * error)
    result = run("evaluate", integers / "run", integers / "table.csv")
    assert "of values on a grid with noise of one step" in result.out
    card = json.loads((integers / "exported/1/assets.extra/model.json").read_text())
    assert card["about"]["test_nll_noise_draws"] == 4
    assert card["schema"]["step"] == [1.0, 0.01]


def test_samples_are_on_the_grid_unless_told_otherwise(integers, run):
    assert run("sample", integers / "run", "-n", 500, "-o", integers / "s.csv").code == 0
    text = (integers / "s.csv").read_text().splitlines()[1:]
    counts, sizes = zip(*(line.split(",") for line in text), strict=True)
    assert {float(count) for count in counts} <= set(range(7))
    assert [float(size) for size in sizes] == [round(float(size), 2) for size in sizes]
    assert run("sample", integers / "run", "-n", 500, "--no-round", "-o", integers / "c.csv").code == 0
    continuous = pd.read_csv(integers / "c.csv")["count"]
    assert continuous.nunique() > 400
    assert continuous.between(0.0, 6.0, inclusive="neither").all()


def test_an_export_samples_on_the_grid_alone(integers, run, refused):
    assert run("export", integers / "run", integers / "rounding").code == 0
    assert run("sample", integers / "rounding", "-n", 200, "-o", integers / "e.csv").code == 0
    drawn = pd.read_csv(integers / "e.csv", dtype={"size": str})
    assert set(drawn["count"]) <= set(range(7))
    assert drawn["size"].str.len().max() <= len("-0.57")
    message = refused("sample", integers / "rounding", "-n", 2, "--no-round", "-o", "f.csv")
    assert "an exported model rounds its samples itself. Leave --no-round out" in message


def test_a_column_of_small_steps_beside_a_large_one_keeps_its_digits(tmp_path, run):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"big": 1e8 * rng.lognormal(size=400), "price": np.round(rng.uniform(0.0, 1.0, 400), 2)})
    table.to_csv(tmp_path / "table.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert run("fit", tmp_path / "table.csv", "-o", tmp_path / "run", "--flow", "nice", "--epochs", 1).code == 0
    assert run("sample", tmp_path / "run", "-n", 500, "-o", tmp_path / "drawn.csv").code == 0
    price = pd.read_csv(tmp_path / "drawn.csv", dtype={"price": str})["price"]
    assert len(set(price)) > 50
    assert price.str.len().max() <= len("-0.57")


def test_a_grid_column_of_zeros_alone():
    class Flow:
        schema = Schema(low=(0.0,), high=(None,), step=(1.0,), origin=(0.0,))

        def sample(self, size, seed, round):
            return np.zeros([size, 1], np.float32)

    np.testing.assert_array_equal(models.Model(Flow()).sample(3, seed=0), np.zeros([3, 1]))
