"""Conditional densities p(y | x) of UCI regression sets on Gal & Ghahramani's splits, with `tfp_nvp.fit`.

    python benchmarks/regression.py --data-dir DIR [--set NAME ...] [--split 0 1 ...] [--output regression.jsonl]

Fits `nvp.fit(y, condition=x)` at its defaults to the training rows of each split of
`DIR/uci_regression/NAME.npz`, and appends a JSON line with the mean log-density of the test rows in
nats, targets in original units; what is in the output is skipped. Wine quality is an
integer, to which a density could collapse: `fit` dequantizes it, and the test targets get the same uniform
noise. MC-dropout (Gal & Ghahramani 2016, arXiv:1506.02142): kin8nm 1.14, protein −2.87, wine −0.93 (not dequantized).
`validation`, the log-density of the rows that `fit` holds out of the training rows, is what defaults were chosen by.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np

import tfp_nvp as nvp
from tfp_nvp.training._tables.columns import inspect_columns

SETS = {"kin8nm": "kin8nm", "protein": "protein-tertiary-structure", "wine": "wine-quality-red"}
MC_DROPOUT = {"kin8nm": 1.14, "protein": -2.87, "wine": -0.93}


def main() -> None:
    """Fits the splits that were asked for and are not in the output; prints the mean of each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--set", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--split", nargs="+", type=int, default=None, help="by default all")
    parser.add_argument("--output", type=Path, default=Path("regression.jsonl"))
    arguments = parser.parse_args()
    for name in arguments.set:
        with np.load(arguments.data_dir / "uci_regression" / f"{SETS[name]}.npz") as file:
            archive = dict(file)
        splits = sum(key.startswith("train_") for key in archive)
        for split in range(splits) if arguments.split is None else arguments.split:
            lines = arguments.output.read_text().splitlines() if arguments.output.exists() else []
            if any((row["set"], row["split"]) == (name, split) for row in map(json.loads, lines)):
                continue
            row = {"set": name, "split": split} | fitted(archive, split)
            with arguments.output.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    rows = [json.loads(line) for line in arguments.output.read_text().splitlines()]
    for name in arguments.set:
        found = np.array([row["test"] for row in rows if row["set"] == name])
        error = found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else float("nan")
        print(f"{name}: {found.mean():.3f} ± {error:.3f} over {len(found)} splits; MC-dropout {MC_DROPOUT[name]}")


def fitted(archive: dict[str, np.ndarray], split: int) -> dict:
    """Figures of one split."""
    x = archive["data"][:, archive["index_features"].astype(int)]
    y = archive["data"][:, archive["index_target"].astype(int)].reshape(len(x), 1)
    train, test = (archive[f"{part}_{split}"].astype(int) for part in ("train", "test"))
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dequantization
        step = inspect_columns(y[train], None).step
        model = nvp.fit(y[train], condition=x[train], seed=split, verbose=0)
    seconds = time.perf_counter() - start
    targets = y[test] + step * np.random.default_rng(split).uniform(-0.5, 0.5, y[test].shape)
    log_prob = model.log_prob(targets.astype(np.float32), condition=x[test].astype(np.float32)).numpy()
    history = model.history.history
    return {
        "test": round(float(log_prob.mean()), 4),
        "validation": round(-float(np.min(history["val_nll"])), 4),
        "best epoch": int(np.argmin(history["val_nll"])) + 1,
        "epochs": len(history["nll"]),
        "parameters": model.count_params(),
        "seconds": round(seconds),
    }


if __name__ == "__main__":
    main()
