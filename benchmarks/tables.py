"""Test log-likelihood of tables: `nvp.fit_table` beside simple rivals and `nvp.fit`.

    python benchmarks/tables.py [--data-dir DIR] [--table NAME ...] [--method NAME ...] [--seed 0 1 ...]
        [--output tables.jsonl]

A fifth of the rows, chosen by the seed, is the test; each method gets the others, and its defaults. The figure is the
mean of log p(row) over the test rows in nats, in the data's own units: densities of numbers, probabilities of
categories. `fit_table` gives numbers on a grid the density of their cell (`tfp_nvp.any_order.Real`), `fit` that at the
number itself, trained with noise of the cell. What is in the output is skipped.

Tables are those of scikit-learn's wheel, with the class as a category where they have one, and
`DIR/uci_regression`, of which at most 5,000 rows are taken.

Methods:
  table, table16     `nvp.fit_table`: the density of the schema's order, and the mixture of 16 orders
  independent        each column by itself: frequencies plus one, or a kernel density of Silverman's width
  copula             those kernel densities' distribution functions, joined by a Gaussian copula; numbers alone
  mixture            full Gaussian mixture, 1 to 10 components by a validation fifth; numbers alone
  boosting           gradient boosting chained column by column: a classifier for categories, for numbers a regression,
                     whose held-out residuals have a kernel density
  fit                `nvp.fit`, one flow; numbers alone
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.mixture import GaussianMixture

import tfp_nvp as nvp

_MOST_ROWS = 5_000


def tables(folder: Path | None) -> dict[str, pd.DataFrame]:
    """Tables by name; those whose name ends in "+class" are mixed."""
    found = {}
    for name in ("iris", "wine", "breast_cancer", "diabetes"):
        bunch = getattr(datasets, f"load_{name}")(as_frame=True)
        found[name] = bunch.data if name != "diabetes" else bunch.frame
        if name != "diabetes":
            labels = np.asarray(bunch.target_names)[bunch.target]
            found[f"{name}+class"] = bunch.data.assign(label=labels)
    for file in sorted((folder / "uci_regression").glob("*.npz")) if folder else ():
        with np.load(file) as archive:
            data = archive["data"]
        rows = np.random.default_rng(0).permutation(len(data))[:_MOST_ROWS]
        found[file.stem] = pd.DataFrame(data[rows], columns=[f"x{i}" for i in range(data.shape[1])])
    return found


def main() -> None:
    """Runs what was asked for and is not in the output; prints a table of means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--table", nargs="+")
    parser.add_argument("--method", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--output", type=Path, default=Path("tables.jsonl"))
    arguments = parser.parse_args()
    for name, table in tables(arguments.data_dir).items():
        if arguments.table and name not in arguments.table:
            continue
        for seed in arguments.seed:
            for method in arguments.method:
                run(name, table, method, seed, arguments.output)
    frame = pd.DataFrame(map(json.loads, arguments.output.read_text().splitlines()))
    print(frame.pivot_table("log_prob", "table", "method").round(3).to_string())


def run(name: str, table: pd.DataFrame, method: str, seed: int, output: Path) -> None:
    """Appends the figures of one method, unless they are in the output or the method can't have the table."""
    lines = map(json.loads, output.read_text().splitlines()) if output.exists() else ()
    key = {"table": name, "method": method, "seed": seed}
    if any(key.items() <= row.items() for row in lines):
        return
    numeric = table.select_dtypes("number")
    if method in ("copula", "mixture", "fit") and numeric.shape[1] < table.shape[1]:
        return
    order = np.random.default_rng(seed).permutation(len(table))
    test, train = np.split(order, [len(table) // 5])
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = METHODS[method](table.iloc[train].reset_index(drop=True), table.iloc[test].reset_index(drop=True), seed)
    values = found if isinstance(found, dict) else {method: found}
    with output.open("a") as file:
        for each, log_prob in values.items():
            row = key | {"method": each, "log_prob": float(np.mean(log_prob)), "rows": len(train)}
            row |= {"standard_error": float(np.std(log_prob) / np.sqrt(len(log_prob)))}
            row |= {"seconds": round(time.perf_counter() - started, 1)}
            file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def any_order(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
    """`nvp.fit_table`, by one order and by 16."""
    model = nvp.fit_table(train, schema=_comparable(train), seed=seed, verbose=0)
    validation = min(model.history.history["val_nll"])
    print(f"  validation {-validation:.4f}, {len(model.history.history['val_nll'])} epochs", flush=True)
    return {"table": model.log_prob(test), "table16": model.log_prob(test, orders=16)}


def _comparable(table: pd.DataFrame) -> nvp.Schema:
    """The inferred schema, in which repeated numbers that are on no grid have a density, as in all other methods."""
    schema = nvp.Schema.of(table)
    for name, column in schema.items():
        if table[name].dtype.kind in "if" and isinstance(column, nvp.any_order.Category):
            low, high = (*sorted(column.categories), column.categories[0] + 1)[:2]
            schema = schema.replace(**{name: nvp.any_order.Real(step=high - low, origin=low, atoms=column.categories)})
        elif getattr(column, "atoms", ()) and not column.on_grid:
            schema = schema.replace(**{name: nvp.any_order.Real()})
    return schema


def flow(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """`nvp.fit`."""
    model = nvp.fit(train.astype(float), seed=seed, verbose=0)
    return np.asarray(model.log_prob(test.astype(float)))


def independent(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """The sum of the columns' log-densities."""
    return np.sum([_marginal(train[name])(test[name])[0] for name in train], axis=0)


def copula(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """Kernel densities joined by the correlation of their normal scores."""
    marginals = [_marginal(train[name]) for name in train]
    scores = np.stack([marginal(train[name])[1] for marginal, name in zip(marginals, train, strict=True)], axis=1)
    log_p, u = zip(*(marginal(test[name]) for marginal, name in zip(marginals, train, strict=True)), strict=True)
    correlation = 0.999 * np.corrcoef(scores.T) + 0.001 * np.eye(len(marginals))
    z, inverse = np.stack(u, axis=1), np.linalg.inv(correlation)
    joint = -0.5 * np.einsum("ni,ij,nj->n", z, inverse - np.eye(len(inverse)), z)
    return np.sum(log_p, axis=0) + joint - 0.5 * np.linalg.slogdet(correlation)[1]


def mixture(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """A Gaussian mixture of standardized columns."""
    center, scale = train.mean(), train.std()
    x, y = ((part - center) / scale for part in (train, test))
    held_out = len(x) // 5
    fits = [
        GaussianMixture(k, reg_covar=reg, random_state=seed, n_init=2).fit(x[held_out:])
        for k in (1, 2, 3, 5, 7, 10)
        for reg in (1e-3, 1e-2, 1e-1)
    ]
    best = max(fits, key=lambda fit: fit.score(x[:held_out]))
    best = GaussianMixture(best.n_components, reg_covar=best.reg_covar, random_state=seed, n_init=2).fit(x)
    return best.score_samples(y) - np.log(scale).sum()


def boosting(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """p(x₁) Π p(x_j | x₁, …, x_{j−1}) by gradient boosting."""
    both = pd.concat([train, test])
    coded = both.apply(lambda column: column if column.dtype.kind in "if" else column.astype("category").cat.codes)
    inputs, outputs = coded[: len(train)], coded[len(train) :]
    total = _marginal(train.iloc[:, 0])(test.iloc[:, 0])[0]
    for j in range(1, train.shape[1]):
        x, y, target = inputs.iloc[:, :j], outputs.iloc[:, :j], train.iloc[:, j]
        if target.dtype.kind not in "if":
            fit = HistGradientBoostingClassifier(early_stopping=True, random_state=seed).fit(x, target.astype(str))
            p = fit.predict_proba(y)[np.arange(len(y)), np.searchsorted(fit.classes_, test.iloc[:, j].astype(str))]
            total = total + np.log(0.99 * p + 0.01 / len(fit.classes_))
            continue
        half = np.arange(len(x)) % 2 == 0
        residuals = np.empty(len(x))
        for part in (half, ~half):  # of rows that the regression has not seen
            fit = HistGradientBoostingRegressor(early_stopping=True, random_state=seed).fit(x[part], target[part])
            residuals[~part] = target[~part] - fit.predict(x[~part])
        fit = HistGradientBoostingRegressor(early_stopping=True, random_state=seed).fit(x, target)
        total = total + _marginal(pd.Series(residuals))(test.iloc[:, j] - fit.predict(y))[0]
    return total


def _marginal(train: pd.Series) -> Callable[[pd.Series], tuple[np.ndarray, Any]]:
    """A function of a column: its log-densities, and the normal scores of numbers."""
    if train.dtype.kind not in "if":
        counts = train.value_counts()
        return lambda column: (np.log((column.map(counts).fillna(0) + 1) / (len(train) + len(counts))).to_numpy(), None)
    x = train.to_numpy(float)
    spread = min(x.std(), np.subtract(*np.quantile(x, [0.75, 0.25])) / 1.349 or x.std())
    width = 0.9 * spread * len(x) ** -0.2

    def density(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        u = (column.to_numpy(float)[:, np.newaxis] - x) / width
        log_p = np.logaddexp.reduce(norm.logpdf(u), axis=1) - np.log(len(x) * width)
        return log_p, norm.ppf(np.clip(norm.cdf(u).mean(axis=1), 1e-6, 1 - 1e-6))

    return density


METHODS: dict[str, Callable[..., Any]] = {
    "independent": independent,
    "copula": copula,
    "mixture": mixture,
    "boosting": boosting,
    "table": any_order,
    "fit": flow,
}

if __name__ == "__main__":
    main()
