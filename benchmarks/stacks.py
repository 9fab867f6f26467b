"""One flow, a stack, and what scikit-learn fits in seconds: test log-likelihood on small tables.

    python benchmarks/stacks.py fit [--output stacks.json] [--tables wine iris] [--seeds 0 1 2]
    python benchmarks/stacks.py table [--output stacks.json]

Tables of scikit-learn; a fifth of the rows are for the test, others for everything else. Columns are standardized by
the training rows, and all rows get Gaussian noise of .05 deviations, since repeated values have no density. The rival
is the better, by five-fold cross-validation, of Gaussian mixtures (full covariances, 1 to 8 components, five
regularizations) and kernel densities of five widths. Runs that are in the output already are not repeated.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn import datasets
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KernelDensity

import tfp_nvp as nvp

TABLES = ("iris", "wine", "diabetes", "breast_cancer")


def rows_of(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows."""
    x = getattr(datasets, f"load_{name}")().data
    if name == "diabetes":
        x = np.delete(x, 1, axis=1)  # sex, of two values
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = np.split(order, [len(x) // 5])
    x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    x = x + 0.05 * np.random.default_rng(1).normal(size=x.shape)
    return x[train], x[test]


def rival(train: np.ndarray) -> Any:
    """The better of scikit-learn's densities, by cross-validation, fitted to all training rows."""
    mixtures = [
        GaussianMixture(count, reg_covar=ridge, random_state=0)
        for count, ridge in itertools.product((1, 2, 3, 4, 8), (1e-3, 1e-2, 0.03, 0.1, 0.3))
    ]
    kernels = [KernelDensity(bandwidth=width) for width in (0.1, 0.2, 0.4, 0.6, 0.9)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        best = max([*mixtures, *kernels], key=lambda each: cross_val_score(each, train, cv=5).sum() / len(train))
        return best.fit(train)


def run(name: str, seed: int) -> dict[str, Any]:
    """Test log-likelihoods in nats a row, and seconds, of one split."""
    train, test = rows_of(name, seed)
    found: dict[str, Any] = {"table": name, "seed": seed, "rows": len(train), "columns": train.shape[1]}
    other = rival(train)
    found["rival"], found["rival_is"] = float(np.mean(other.score_samples(test))), str(other)
    for method, options in (("one", {}), ("stack", {"stack": True})):
        start = time.perf_counter()
        model = nvp.fit(train, seed=seed, verbose=0, **options)
        found[f"{method}_seconds"] = time.perf_counter() - start
        found[method] = float(np.mean(model.log_prob(test)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["fit", "table"])
    parser.add_argument("--output", type=Path, default=Path("stacks.json"))
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    results = json.loads(arguments.output.read_text()) if arguments.output.exists() else []
    if arguments.command == "fit":
        done = {(result["table"], result["seed"]) for result in results}
        for name, seed in itertools.product(arguments.tables, arguments.seeds):
            if (name, seed) not in done:
                results.append(run(name, seed))
                print(results[-1], flush=True)
                arguments.output.write_text(json.dumps(results, indent=1))
    for name in dict.fromkeys(result["table"] for result in results):
        some = [result for result in results if result["table"] == name]
        means = {key: np.mean([result[key] for result in some]) for key in ("one", "stack", "rival")}
        cells = " | ".join(f"{means[key]:.2f}" for key in ("one", "stack", "rival"))
        ratio = np.mean([result["stack_seconds"] / result["one_seconds"] for result in some])
        print(f"| {name} ({some[0]['rows']} × {some[0]['columns']}, {len(some)} splits) | {cells} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
