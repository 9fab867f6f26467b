"""Every conditional of a table's model against known ones: a correlated Gaussian, and a Bayesian network.

    python benchmarks/conditionals.py [--rows 30000] [--seed 0] [--output conditionals.jsonl]

Fits `nvp.fit_table` at its defaults to rows of five columns, and asks log p(column | others) of 2,000 new rows for
every column and every set of other columns, 80 conditionals. A line has the mean and the largest gap between the true
and the model's mean log-probability in nats (0 or more, up to sampling), and the mean difference of two orders of a
pair of columns, |log p(a) p(b | a) − log p(b) p(a | b)|, over all pairs and rows.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import tfp_nvp as nvp

_NAMES = list("abcde")
_TEST = 2_000

#: log p of the columns of a list, for rows [n, 5].
Marginal = Callable[[np.ndarray, list[int]], np.ndarray]


def gaussian(rows: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Marginal]:
    """Rows of a Gaussian with a random covariance, and its marginals."""
    factor = rng.normal(size=[5, 5])
    covariance = factor @ factor.T / 5 + 0.3 * np.eye(5)
    table = pd.DataFrame(rng.multivariate_normal(np.zeros(5), covariance, rows), columns=_NAMES)

    def log_prob(x: np.ndarray, columns: list[int]) -> np.ndarray:
        part = covariance[np.ix_(columns, columns)]
        squares = np.einsum("ni,ij,nj->n", x[:, columns], np.linalg.inv(part), x[:, columns])
        return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * part)[1])

    return table, log_prob


def network(rows: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Marginal]:
    """Rows of five categories, a → b, a → c, (b, c) → d, d → e, with random tables, and their marginals."""
    sizes, parents = [3, 2, 4, 3, 2], [[], [0], [0], [1, 2], [3]]
    joint = np.ones(sizes)
    for j, of in enumerate(parents):
        table = rng.dirichlet(np.ones(sizes[j]), size=[sizes[i] for i in of])
        joint = joint * table.reshape([sizes[i] if i in (*of, j) else 1 for i in range(5)])
    codes = np.stack(np.unravel_index(rng.choice(joint.size, rows, p=joint.ravel()), sizes), axis=1)

    def log_prob(x: np.ndarray, columns: list[int]) -> np.ndarray:
        marginal = joint.sum(axis=tuple(i for i in range(5) if i not in columns), keepdims=True)
        return np.log(marginal[tuple(x[:, i].astype(int) if i in columns else 0 for i in range(5))])

    return pd.DataFrame(codes.astype(str), columns=_NAMES), log_prob


def gaps(model: nvp.TableModel, test: pd.DataFrame, log_prob: Marginal) -> dict[str, float]:
    """The gaps of all conditionals, and the differences of orders."""
    x, found, differences = test.to_numpy(float), [], []
    for j in range(5):
        others = [i for i in range(5) if i != j]
        for given in (list(g) for k in range(5) for g in itertools.combinations(others, k)):
            names = [_NAMES[i] for i in given]
            truth = log_prob(x, [*given, j]) - (log_prob(x, given) if given else 0.0)
            found.append((truth - model.log_prob(test[[*names, _NAMES[j]]], given=names)).mean())
    for a, b in itertools.combinations(_NAMES, 2):
        first = model.log_prob(test[[a]]) + model.log_prob(test[[a, b]], given=[a])
        second = model.log_prob(test[[b]]) + model.log_prob(test[[a, b]], given=[b])
        differences.append(np.abs(first - second).mean())
    joint = (log_prob(x, list(range(5))) - model.log_prob(test)).mean()
    return {
        "conditionals": len(found),
        "mean_gap": float(np.mean(found)),
        "largest_gap": float(np.max(found)),
        "joint_gap": float(joint),
        "difference_of_orders": float(np.mean(differences)),
        "largest_difference_of_orders": float(np.max(differences)),
    }


def main() -> None:
    """Fits both tables, and appends a line of figures for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("conditionals.jsonl"))
    arguments = parser.parse_args()
    for make in (gaussian, network):
        table, log_prob = make(arguments.rows + _TEST, np.random.default_rng(arguments.seed))
        started = time.perf_counter()
        model = nvp.fit_table(table[: arguments.rows], seed=arguments.seed, verbose=0)
        row = {"table": make.__name__, "rows": arguments.rows, "seed": arguments.seed}
        row |= {"seconds": round(time.perf_counter() - started, 1), "epochs": len(model.history.history["loss"])}
        row |= gaps(model, table[arguments.rows :].reset_index(drop=True), log_prob)
        with arguments.output.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
