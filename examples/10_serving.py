"""From rows to a server and on to the next version: fit, export, serve, query, swap.

A detector of unusual tissue samples, of the 569 of Wolberg, Street & Mangasarian (1995), which scikit-learn ships: it
is fitted to benign ones, and asked about others. Where `tensorflow_model_server` is installed it is started and asked
over gRPC; elsewhere `nvp.serving.load` answers in its place, by the same methods.

    python examples/10_serving.py        a minute or two on two cores; everything is in runs/serving
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import tfp_nvp as nvp

NAME = "tissue"


@contextmanager
def model_server(models: Path, out: Path) -> Iterator[str | None]:
    """The address of a server of these models, or None where none is installed."""
    with socket.create_server(("", 0)) as grpc, socket.create_server(("", 0)) as rest:
        ports = {"grpc_port": grpc.getsockname()[1], "rest_port": rest.getsockname()[1]}
    deployment = nvp.serving.write_deployment(models, out, **ports)  # as `tfp-nvp serve` does
    if shutil.which(deployment.command[0]) is None:
        print("tensorflow_model_server is not installed: asking the folder itself")
        yield None
        return
    process = subprocess.Popen(deployment.command)
    try:
        yield f"grpc://localhost:{ports['grpc_port']}"
    finally:
        process.terminate()
        process.wait()


def main(
    steps: int = 1000, out: str = "runs/serving", serve: Callable[[Path, Path], Any] = model_server
) -> dict[str, float]:
    """Fits and serves two versions.

    Args:
      steps: of training the second version; the first has a quarter.
      out: folder for models and configuration.
      serve: from a folder of models and one for configuration to a context with a server's address, or None.

    Returns:
      false_positives, true_positives: shares of held-out benign and malignant samples that the second version flags.
      first_version, second_version: which answered.
      difference: largest of the answers' scores from those of Python.
    """
    # 1. Fit to benign samples: the threshold for one false alarm in twenty is set on a fifth of them.
    x, y = load_breast_cancer(return_X_y=True)
    x, benign = x.astype(np.float32), y == 1
    train, held_out = train_test_split(x[benign], test_size=0.3, random_state=0)
    detectors = [
        nvp.AnomalyDetector(seed=0).fit(train, false_positive_rate=0.05, steps=count, verbose=0)
        for count in (max(1, steps // 4), steps)
    ]
    threshold = detectors[1].threshold_
    low, high = threshold.rate_interval
    print(f"threshold {threshold.value:.2f} nats, set on {threshold.rows} rows: {low:.1%} to {high:.1%} false alarms")

    # 2. Export: a folder that a server watches.
    models = Path(out) / "models"
    first = nvp.export(detectors[0], models / NAME, warmup=train, card={"data": "benign samples"})
    print(f"exported {first}: {nvp.serving.read_card(first)['size']['total']:,} bytes")

    # 3. Serve and ask.
    with serve(models, Path(out) / "config") as address:
        with connect(address, first) as client:
            versions = [version_of(client)]
            score, _ = client.score(held_out)
            print(f"version {versions[0]} scores {', '.join(f'{each:.2f}' for each in score[:3])} …")

        # 4. Swap: the next version goes beside the first, and is served when it is whole and warm.
        second = nvp.export(detectors[1], models / NAME, warmup=train, card={"data": "benign samples"})
        with connect(address, second) as client:
            versions.append(version_of(client))
            score, flagged = client.score(held_out)
            malignant = client.score(x[~benign])[1]
            print(f"version {versions[1]} scores {', '.join(f'{each:.2f}' for each in score[:3])} …")
    found = {
        "false_positives": float(flagged.mean()),
        "true_positives": float(malignant.mean()),
        "first_version": versions[0],
        "second_version": versions[1],
        "difference": float(np.abs(score - detectors[1].score(held_out)).max()),
    }
    print(f"flagged: {found['false_positives']:.1%} of benign samples, {found['true_positives']:.1%} of malignant ones")
    print(f"models, and the configuration of a server: {out}")
    return found


@contextmanager
def connect(address: str | None, version: Path) -> Iterator[nvp.serving.Client | nvp.serving.ServedFlow]:
    """A client of the server, once it has this version, or what stands in for it."""
    if address is None:
        yield nvp.serving.load(version)
        return
    with nvp.serving.Client(address, NAME) as client:
        client.wait_until_available(version=int(version.name))
        yield client


def version_of(client: nvp.serving.Client | nvp.serving.ServedFlow) -> int:
    """The newest version that answers."""
    if isinstance(client, nvp.serving.ServedFlow):
        return int(client.folder.name)
    return max(version for version, state in client.status().items() if state == "AVAILABLE")


if __name__ == "__main__":
    main()
