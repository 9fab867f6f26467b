"""The demo: fits, plots, exports and queries two models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from tfp_nvp.cli import outputs
from tfp_nvp.cli.fitting import Split, fit_outputs, fit_table
from tfp_nvp.cli.models import Model, start_tensorflow

# Runs in a new process, as a program that only has the exported folder.
_ASK = """
import json, sys
import numpy as np
from tfp_nvp import serving

served = serving.load(sys.argv[1])
rows = np.asarray(json.load(sys.stdin), dtype=np.float32)
answer = {"log_prob": served.log_prob(rows).tolist(), "sample": served.sample(1000, seed=0).tolist()}
print(json.dumps(answer))
"""


def run(out: Path, saved_models: Path, *, epochs: int | None, seed: int) -> None:
    """Fits, plots, exports and queries a model of each data set.

    Args:
      out: folder for a folder of each data set: model, metrics.json, pictures. Those of an earlier demo are replaced.
      saved_models: folder for a SavedModel of each, a new version every time.
      epochs: maximum number; by default `fit`'s.
      seed: of splits, weights and samples.
    """
    for folder in (out, saved_models):
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is not a folder. Choose another place.")
    start_tensorflow()
    pictures = [
        _run_one(name, table, columns, out, saved_models, epochs, seed)
        for name, (table, columns) in {"breast_cancer": _breast_cancer(), "two_moons": _two_moons(seed)}.items()
    ]
    click.echo("\nPictures:")
    for picture in sorted(path for folder in pictures for path in folder.glob("*.png")):
        click.echo(f"  {picture}")


def _run_one(
    name: str, table: np.ndarray, columns: list[str], out: Path, saved_models: Path, epochs: int | None, seed: int
) -> Path:
    from tfp_nvp import serving

    folder = out / name
    if folder.exists() and not (folder / "metrics.json").exists():
        raise FileExistsError(f"{folder} exists and is not of an earlier demo. Choose another --out.")
    click.echo(f"\n{name}: {len(table):,} rows of {', '.join(columns)}")
    split = Split.of(
        len(table), test=0.5 if name == "two_moons" else 0.2, validation=None, columns=len(columns), seed=seed
    )
    options: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    model, metrics = fit_table(table, None, split, None, None, columns, [], quiet=False, **options)
    with outputs.new_folder(folder, replace=True) as temporary:
        fit_outputs(model, table, None, {"data": name} | metrics, seed, temporary)
    nll = metrics["nll"]
    click.echo(f"  fitted in {metrics['seconds']:.0f} s, {metrics['epochs_run']} epochs")
    click.echo(
        f"  test NLL {nll['test']:.3f} ± {nll['test_standard_error']:.3f} nats ({metrics['rows']['test']:,} rows)"
    )
    version = serving.export(model.flow, saved_models / name)
    click.echo(f"  exported to {version}")
    _ask(version, model, table[split.test][:100])
    return folder


def _ask(version: Path, model: Model, rows: np.ndarray) -> None:
    """Compares log-probs of the exported model in a new process with this one's, and samples from it."""
    answer = subprocess.run(
        [sys.executable, "-c", _ASK, str(version)],
        input=json.dumps(rows.tolist()),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if answer.returncode:
        raise ChildProcessError(f"The exported model did not answer: {answer.stderr.strip().splitlines()[-1]}")
    served: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    difference = np.abs(np.asarray(served["log_prob"]) - model.log_prob(rows)).max()
    samples = np.asarray(served["sample"])
    click.echo("  asked from a fresh process:")
    click.echo(
        f"    log_prob of {len(rows)} rows: mean {np.mean(served['log_prob']):.3f}, off by at most {difference:.1e}"
    )
    click.echo(f"    sample: {len(samples):,} rows, means {_numbers(samples.mean(axis=0))}")


def _numbers(values: np.ndarray) -> str:
    return ", ".join(f"{value:.3g}" for value in values)


def _breast_cancer() -> tuple[np.ndarray, list[str]]:
    """Five measures of cell nuclei in 569 images: skewed, correlated, of scales from 0.05 to 30.

    Street, Wolberg & Mangasarian (1993); UCI Machine Learning Repository, doi:10.24432/C5DW2B.
    """
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    columns = ["mean radius", "mean texture", "mean smoothness", "mean compactness", "mean symmetry"]
    return data.data[:, [list(data.feature_names).index(name) for name in columns]], columns


def _two_moons(seed: int) -> tuple[np.ndarray, list[str]]:
    """20,000 points, half of them for the test, noise 0.05, standardized."""
    from sklearn.datasets import make_moons

    points, _ = make_moons(20_000, noise=0.05, random_state=seed)
    return (points - points.mean(axis=0)) / points.std(axis=0), ["x1", "x2"]
