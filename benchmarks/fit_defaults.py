"""How the defaults of `tfp_nvp.fit` were chosen: variants of its plan on real tables, by validation likelihood.

    python benchmarks/fit_defaults.py [--data-dir DIR] [--table NAME ...] [--variant NAME ...] [--seed 0]

Prints a JSON line per table and variant: the negative log-likelihoods in nats of the validation
rows that choose the weights (by which variants are compared) and of a fifth of the rows held
out beforehand (reported, not chosen by), the latter also of a full-covariance Gaussian on
the same training rows. Tables are scikit-learn's own, and with --data-dir the UCI regression
sets of that folder (`uci_regression/NAME.npz`, key `data`). Columns on a grid are dequantized.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn import datasets

import tfp_nvp as nvp
from tfp_nvp.training import Plan, plan_for
from tfp_nvp.training._tables.columns import inspect_columns

TABLES: dict[str, Callable[[], np.ndarray]] = {
    "iris": lambda: datasets.load_iris().data,
    "wine": lambda: datasets.load_wine().data,
    "diabetes": lambda: np.delete(datasets.load_diabetes().data, 1, axis=1),  # column 1, sex, has two values
    "cancer": lambda: datasets.load_breast_cancer().data,
}
UCI = ("wine-quality-red", "kin8nm", "protein-tertiary-structure")

VARIANTS: dict[str, dict] = {
    "default": {},
    "dropout 0.1": {"dropout": 0.1},
    "dropout 0.2": {"dropout": 0.2},
    "dropout 0.3": {"dropout": 0.3},
    "2 layers": {"num_layers": 2},
    "4 layers": {"num_layers": 4},
    "wider": {"hidden_units": 128},
    "deeper networks": {"num_blocks": 2},
    "4 bins": {"num_bins": 4},
    "8 bins": {"num_bins": 8},
    "16 bins": {"num_bins": 16},
    "rate 5e-4": {"learning_rate": 5e-4},
    "rate 1e-3": {"learning_rate": 1e-3},
    "4 layers, rate 1e-3, 8 bins": {"num_layers": 4, "learning_rate": 1e-3, "num_bins": 8},
    "no decay": {"weight_decay": 0.0},
    "decay 0.1": {"weight_decay": 0.1},
    "decay 0.3": {"weight_decay": 0.3},
    "no averaging": {"ema_momentum": 0.0},
}


def main() -> None:
    """Runs the variants that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--table", nargs="+", default=None)
    parser.add_argument("--variant", nargs="+", default=list(VARIANTS))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tables = dict(TABLES)
    if arguments.data_dir:
        for name in UCI:
            path = arguments.data_dir / "uci_regression" / f"{name}.npz"
            tables[name] = lambda path=path: np.load(path)["data"]
    for variant in arguments.variant:
        for name in arguments.table or tables:
            print(json.dumps(run(name, tables[name](), variant, arguments.seed)), flush=True)


def run(name: str, table: np.ndarray, variant: str, seed: int) -> dict:
    """One fit, and its figures."""
    rng = np.random.default_rng(123)
    table = rng.permutation(table.astype(np.float64))
    test, train = np.split(table, [len(table) // 5])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dequantization
        step = inspect_columns(train, None).step
        plan = _plan(len(train), table.shape[1], variant)
        start = time.perf_counter()
        model = nvp.fit(train, seed=seed, verbose=0, plan=plan)
    seconds = time.perf_counter() - start
    test, noisy = (rows + step * rng.uniform(-0.5, 0.5, rows.shape) for rows in (test, train))
    history = model.history.history
    best = int(np.argmin(history["val_nll"]))
    return {
        "table": name,
        "rows": len(train),
        "columns": table.shape[1],
        "variant": variant,
        "validation": round(history["val_nll"][best], 3),
        "test": round(_nll(model, test), 3),
        "gaussian test": round(_gaussian_nll(noisy, test), 3),
        "best step": (best + 1) * plan.steps_per_epoch,
        "steps": len(history["nll"]) * plan.steps_per_epoch,
        "parameters": model.count_params(),
        "seconds": round(seconds),
    }


def _plan(rows: int, columns: int, variant: str) -> Plan:
    held_out = 0.2 if rows < 5_000 else 0.1
    return dataclasses.replace(plan_for(round(rows * (1 - held_out)), columns), **VARIANTS[variant])


def _nll(model: nvp.FlowModel, x: np.ndarray) -> float:
    return -float(
        np.mean(np.concatenate([model.log_prob(rows).numpy() for rows in np.array_split(x, len(x) // 2000 + 1)]))
    )


def _gaussian_nll(train: np.ndarray, test: np.ndarray) -> float:
    mean, covariance = train.mean(0), np.cov(train.T)
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), (test - mean).T)
    log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
    return float(0.5 * (np.square(whitened).sum(0).mean() + log_det))


if __name__ == "__main__":
    main()
