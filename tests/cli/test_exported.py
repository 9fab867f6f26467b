"""Exported models in the command line, and what each command imports."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import call, people
from tfp_nvp.cli import models


@pytest.fixture(scope="module")
def exported(conditional, tmp_path_factory):
    """The folder of an export of a fit of height and weight given age."""
    folder = tmp_path_factory.mktemp("models") / "given_age"
    assert call("export", conditional, folder) == 0
    return folder


def test_samples_of_an_export(run, exported, conditional, tmp_path):
    ages = pd.DataFrame({"age": [25.0, 55.0]})
    ages.to_csv(tmp_path / "ages.csv", index=False)
    arguments = ["sample", exported, "-n", 400, "--condition", tmp_path / "ages.csv"]
    assert run(*arguments, "-o", tmp_path / "a.csv").code == 0
    assert run(*arguments, "-o", tmp_path / "b.csv").code == 0
    drawn = pd.read_csv(tmp_path / "a.csv")
    assert list(drawn) == ["age", "height", "weight"]
    assert drawn["age"].tolist() == [25.0] * 400 + [55.0] * 400
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    # Means of 400 rows, and of 4,000 of the model, whose standard deviation is 7 kg: seven standard errors of .5 kg.
    means = models.load_model(conditional).sample(4000, 0, ages.to_numpy()).mean(axis=1)
    np.testing.assert_allclose(drawn.groupby("age")[["height", "weight"]].mean(), means, atol=3.5)


def test_pictures_of_an_export(run, exported, table, tmp_path):
    assert run("plot", exported, table, "--condition", "age", "-o", tmp_path / "pictures").code == 0
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["corner.png"]


def test_scores_of_an_export_and_of_its_fit_are_equal(run, exported, conditional, tmp_path):
    rows = people(20)
    rows["name"] = [f"p{i}" for i in range(20)]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    for model, name in ((exported, "a.csv"), (conditional, "b.parquet")):
        out = tmp_path / name
        result = run("score", model, tmp_path / "rows.csv", "-o", out, "--condition", "age", "--id", "name")
        assert result.code == 0, result.err
        assert result.out.startswith("20 rows, mean -")
    served, fitted = pd.read_csv(tmp_path / "a.csv"), pd.read_parquet(tmp_path / "b.parquet")
    assert list(served) == ["name", "log_prob"]
    assert served["name"].tolist() == rows["name"].tolist()
    np.testing.assert_allclose(served["log_prob"], fitted["log_prob"], rtol=1e-4, atol=1e-4)
    expected = models.load_model(conditional).log_prob(rows[["height", "weight"]].to_numpy(), rows[["age"]].to_numpy())
    np.testing.assert_allclose(fitted["log_prob"], expected, rtol=1e-5)


def test_what_can_not_be_scored(refused, exported, table):
    arguments = ["score", exported, table, "--condition", "age", "-o"]
    assert "no column 'name'" in refused(*arguments, "s.csv", "--id", "name")
    assert "holds numbers alone" in refused(*arguments, "s.npy")


def test_info(run, refused, exported, conditional):
    facts = json.loads(run("info", exported, "--json").out)
    assert facts["model"] == "export, version 1"
    assert facts["columns"] == "height, weight"
    assert "log_prob" in facts["signatures"]
    for model in (conditional, conditional / "flow.keras"):
        text = run("info", model).out
        assert "FlowModel" in text
        assert "people.csv" in text
        assert "condition       age" in text
        assert "validation NLL" in text
    assert "holds no model" in refused("info", conditional.parent)
    assert "No such file" in refused("info", conditional / "nothing.keras")
    assert "not a .keras file" in refused("info", conditional / "metrics.json")


def test_an_export_needs_its_condition(refused, exported):
    assert "needs a condition: give a table of it with --condition" in refused(
        "sample", exported, "-n", 1, "-o", "s.csv"
    )


def imported_by(*arguments: object) -> set[str]:
    """Which of the slow packages a command imports, in a process of its own."""
    code = f"""
import contextlib, os, sys
from tfp_nvp.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(open(os.devnull, "w")):
    main({[str(argument) for argument in arguments]!r})
print(*{{"pandas", "tensorflow", "tensorflow_probability"}} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_commands_that_write_text_do_not_wait_for_tensorflow(exported, tmp_path):
    assert imported_by("serve", exported.parent, "--write-only", "-o", tmp_path / "serving") == set()
    assert (tmp_path / "serving" / "models.config").exists()
    assert imported_by("info", exported) == set()


def test_a_query_of_an_export_needs_tensorflow_alone(exported, table, tmp_path):
    arguments = ["evaluate", exported, table, "--condition", "age"]
    assert imported_by(*arguments) == {"tensorflow", "pandas"}


def test_nothing_slow_is_imported_for_help():
    assert imported_by("--help") == set()


def test_another_seed_gives_other_samples(run, exported, tmp_path):
    ages = pd.DataFrame({"age": [25.0]})
    ages.to_csv(tmp_path / "ages.csv", index=False)
    for seed in (0, 1):
        arguments = ["sample", exported, "-n", 5, "--condition", tmp_path / "ages.csv", "--seed", seed]
        assert run(*arguments, "-o", tmp_path / f"{seed}.npy").code == 0
    assert not np.array_equal(np.load(tmp_path / "0.npy"), np.load(tmp_path / "1.npy"))
