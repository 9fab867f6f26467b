"""Running the command line in this process, and one fitted model for all tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from tfp_nvp.cli import fitting, main, models
from tfp_nvp.training._tables import fit_split
from tfp_nvp.training._tables.plan import plan_for


class Result(NamedTuple):
    code: int
    out: str
    err: str


def call(*arguments: object) -> int:
    """The exit code of one command."""
    with pytest.raises(SystemExit) as exit:
        main([str(argument) for argument in arguments])
    return exit.value.code


@pytest.fixture
def run(capfd) -> Callable[..., Result]:
    """One command's exit code and what it printed."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = call(*arguments)
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def refused(run, tmp_path, monkeypatch) -> Callable[..., str]:
    """The message of a command that must end in one line on stderr, exit code 2, and nothing written."""
    monkeypatch.chdir(tmp_path)

    def refused(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        result = run(*arguments)
        assert result.code == 2, result
        assert result.out == ""
        assert result.err.startswith("tfp-nvp: error: ")
        assert result.err.count("\n") == 1
        assert result.err.endswith("\n")
        assert sorted(tmp_path.rglob("*")) == before
        return result.err.removeprefix("tfp-nvp: error: ").rstrip("\n")

    return refused


@pytest.fixture
def refused_early(refused, monkeypatch) -> Callable[..., str]:
    """As `refused`, before TensorFlow is started."""
    for module in (models, fitting):
        monkeypatch.setattr(module, "start_tensorflow", lambda **_: pytest.fail("TensorFlow was started"))
    return refused


def people(rows: int = 240) -> pd.DataFrame:
    """A small table: two correlated columns that depend on a third."""
    rng = np.random.default_rng(7)
    age = rng.uniform(20, 60, rows)
    height = 170 + rng.normal(size=rows) * 8
    weight = 70 + 0.6 * (height - 170) + 0.2 * (age - 40) + rng.normal(size=rows) * 5
    return pd.DataFrame({"age": age, "height": height, "weight": weight})


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    """`people` as a .csv file."""
    path = tmp_path_factory.mktemp("data") / "people.csv"
    people().to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def fitted(table, tmp_path_factory) -> Path:
    """The folder of a fit of height and weight."""
    out = tmp_path_factory.mktemp("runs") / "people"
    arguments = ["--columns", "height,weight", "--flow", "nice", "--epochs", 2, "--seed", 3, "--quiet"]
    assert call("fit", table, "--out", out, *arguments) == 0
    return out


@pytest.fixture(scope="session")
def conditional(table, tmp_path_factory) -> Path:
    """The folder of a fit of height and weight given age."""
    out = tmp_path_factory.mktemp("runs") / "given_age"
    arguments = ["--condition", "age", "--flow", "NICE", "--epochs", 2, "--quiet", "--test-split", 0]
    assert call("fit", table, "--out", out, *arguments) == 0
    return out


@pytest.fixture(autouse=True, scope="session")
def default_flow_of_two_layers() -> Iterator[None]:
    """What the commands do is the same whatever the depth of the default flow; six layers take long to trace."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_split, "plan_for", lambda *sizes: dataclasses.replace(plan_for(*sizes), num_layers=2))
        yield
