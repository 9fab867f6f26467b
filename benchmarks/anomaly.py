"""Anomaly detection: ROC-AUC of `AnomalyDetector` on tables with known anomalies.

    python benchmarks/anomaly.py --data-dir DIR [--splits 5] [--first 0] [--out runs/anomaly]

DIR holds .npz files with X [n, d] and y [n], 1 for an anomaly, as ADBench has them. Each split is random and
stratified, 60 % to fit, anomalies included and labels unseen, 40 % to score; the detector's seed is the split's.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

import tfp_nvp as nvp


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/anomaly"))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number, which is the seed, of the first split")
    parser.add_argument("--only", nargs="*", help="parts of file names")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(args.data_dir.glob("*.npz")):
        if args.only and not any(part in path.name for part in args.only):
            continue
        with np.load(path) as file:
            x, y = file["X"].astype(np.float64), file["y"].astype(int)
        lines = []
        for split in range(args.first, args.first + args.splits):
            found = args.out / f"{path.stem}_{split}.json"  # a run that was cut short goes on here
            if not found.exists():
                found.write_text(json.dumps(one_split(x, y, split)))
            lines.append(json.loads(found.read_text()))
        for name in ("flow", "isolation_forest", "nearest_neighbours"):
            values = np.array([line[name] for line in lines])
            print(
                f"{path.stem:16s} {name:20s} {values.mean():.4f} ± {values.std(ddof=1):.4f}  {values.round(4).tolist()}"
            )
        print(f"{path.stem:16s} seconds a fit        {np.mean([line['seconds'] for line in lines]):.0f}", flush=True)


def one_split(x: np.ndarray, y: np.ndarray, seed: int) -> dict[str, float]:
    """ROC-AUC of the detector and of two well-known ones on a split."""
    train, test, _, labels = train_test_split(x, y, test_size=0.4, stratify=y, random_state=seed)
    start = time.monotonic()
    detector = nvp.AnomalyDetector(seed=seed).fit(train, verbose=0)
    seconds = time.monotonic() - start
    scale = np.where(train.std(0) > 0.0, train.std(0), 1.0)
    forest = IsolationForest(random_state=seed).fit(train)
    neighbours = NearestNeighbors(n_neighbors=5).fit(train / scale)
    distances = neighbours.kneighbors(test / scale)[0][:, -1]
    flags = detector.predict(test)
    return {
        "flow": float(roc_auc_score(labels, detector.score(test))),
        "isolation_forest": float(roc_auc_score(labels, -forest.score_samples(test))),
        "nearest_neighbours": float(roc_auc_score(labels, distances)),
        "flagged_anomalies": float(flags[labels == 1].mean()),
        "flagged_others": float(flags[labels == 0].mean()),
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
