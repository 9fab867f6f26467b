"""How the cost of a flow grows with its size: times under XLA, as a table and a picture.

    python benchmarks/growth.py [--output growth.json] [--picture docs/images/growth.png] [--rounds 7]

Around one size (32 elements, 4 layers, networks [128, 128], splines of 8 bins, batches of 512), each of
elements, layers, bins and rows is varied alone, for `nvp.RealNVP`, `nvp.MAF` and a neural spline flow on the
same networks. All sizes take turns, so that a machine that drifts hits all alike; medians are kept, in
ms. Sizes that are in the output already are not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tfp_nvp as nvp

START = {"elements": 32, "layers": 4, "bins": 8, "rows": 512}
SIZES = {
    "elements": [2, 8, 32, 128, 512, 2048],
    "layers": [1, 2, 4, 8, 16],
    "bins": [4, 8, 16, 32],
    "rows": [32, 128, 512, 2048, 8192],
}
KINDS = ("RealNVP", "MAF", "spline couplings")
OPERATIONS = ("log_prob", "sample", "step")
LABELS = {"log_prob": "log_prob", "sample": "sample", "step": "training step"}


def flow_of(kind: str, size: dict[str, int]) -> nvp.Flow:
    """A flow of a kind and size."""
    arguments: dict[str, Any] = {"num_layers": size["layers"], "hidden_units": [128, 128], "seed": 0}
    if kind == "spline couplings":
        arguments["transformer"] = nvp.transformers.RationalQuadratic(num_bins=size["bins"])
    recipe = nvp.MAF if kind == "MAF" else nvp.RealNVP
    return recipe([size["elements"]], **arguments)


def operations(kind: str, size: dict[str, int]) -> dict[str, Callable[[], Any]]:
    """What is timed, compiled and called once."""
    flow = flow_of(kind, size)
    x = tf.constant(np.random.default_rng(0).normal(size=[size["rows"], size["elements"]]), tf.float32)
    flow.initialize(x)
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.Adam(1e-3))
    variables = model.trainable_variables

    @tf.function(jit_compile=True)
    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        model.optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    log_prob = tf.function(flow.log_prob, jit_compile=True)
    sample = tf.function(lambda seed: flow.sample(size["rows"], seed=seed), jit_compile=True)
    seed = tf.constant([1, 2])
    calls = {
        "log_prob": lambda: log_prob(x).numpy(),
        "sample": lambda: sample(seed).numpy(),
        "step": lambda: step(x).numpy(),
    }
    for call in calls.values():
        call()
    return calls


def measure(sizes: list[tuple[str, dict[str, int]]], rounds: int) -> list[dict[str, Any]]:
    """Medians over rounds in which all sizes take turns."""
    built = [(kind, size, operations(kind, size)) for kind, size in sizes]
    times: dict[tuple[int, str], list[float]] = {}
    for _ in range(rounds):
        for i, (_, _, calls) in enumerate(built):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                times.setdefault((i, name), []).append(1e3 * (time.perf_counter() - start))
    return [
        {"kind": kind, **size, **{name: round(statistics.median(times[i, name]), 3) for name in calls}}
        for i, (kind, size, calls) in enumerate(built)
    ]


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A panel for each operation and for each thing that grows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 4, figsize=(12, 8), sharey="row", layout="constrained")
    for column, (name, sizes) in enumerate(SIZES.items()):
        for row, operation in enumerate(OPERATIONS):
            axis = axes[row, column]
            for color, kind in zip(("C0", "C1", "C2"), KINDS, strict=True):
                others = {key: value for key, value in START.items() if key != name}
                points = sorted(
                    (r[name], r[operation])
                    for r in rows
                    if r["kind"] == kind and all(r[key] == value for key, value in others.items())
                )
                if len(points) > 1:
                    axis.plot(*zip(*points, strict=True), marker="o", markersize=4, label=kind, color=color)
            axis.set(xscale="log", yscale="log", xticks=sizes, xticklabels=sizes)
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            if column == 0:
                axis.set_ylabel(f"{LABELS[operation]}, ms")
            if row == 2:
                axis.set_xlabel(name)
    axes[0, 0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measures what is not in the output, and draws all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("growth.json"))
    parser.add_argument("--picture", type=Path, default=Path("growth.png"))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    tf.get_logger().setLevel("ERROR")  # it warns of many functions, which are wanted here
    rows = json.loads(arguments.output.read_text()) if arguments.output.exists() else []
    for name, sizes in SIZES.items():
        wanted = [
            (kind, START | {name: size})
            for kind in KINDS
            if name != "bins" or kind == "spline couplings"
            for size in sizes
        ]
        done = [{key: row[key] for key in ("kind", *START)} for row in rows]
        missing = [(kind, size) for kind, size in wanted if {"kind": kind, **size} not in done]
        if missing:
            rows += measure(missing, arguments.rounds)
            arguments.output.write_text(json.dumps(rows, indent=1))
            print(f"{name}: {len(missing)} sizes measured", flush=True)
    draw(rows, arguments.picture)


if __name__ == "__main__":
    main()
