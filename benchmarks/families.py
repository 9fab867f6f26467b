"""Every family of flows on eight densities of known entropy: the gap in nats, times, weights, and a gallery.

    python benchmarks/families.py fit [--output families.json] [--steps 3000] [--families RealNVP MAF]
    python benchmarks/families.py table [--output families.json]
    python benchmarks/families.py gallery [--output families.json] [--picture docs/images/families.png]

Each flow is trained by likelihood (`FlowMatching` by matching) for the same number of steps of 512 new rows, Adam with
a cosine from 2e-3; nothing is chosen on data. The gap is the mean of log p(x) − log q(x) over 20,000 new rows, with its
standard error: the Kullback-Leibler divergence. µs a row are those of `log_prob` and `sample` of 4,096 rows under XLA.
Runs that are in the output already are not repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from densities import DENSITIES, Density

import tfp_nvp as nvp

BATCH, TEST_ROWS, TIMED_ROWS = 512, 20_000, 4096
NETWORK = {"hidden_units": [64, 64], "seed": 0}


def _with(transformer: Any) -> Callable[[], nvp.Flow]:
    """An autoregressive flow of a transformer."""
    return lambda: nvp.MAF([2], num_layers=3, transformer=transformer, **NETWORK)


FAMILIES: dict[str, Callable[[], nvp.Flow]] = {
    "NICE": lambda: nvp.NICE([2], num_layers=8, **NETWORK),
    "RealNVP": lambda: nvp.RealNVP([2], num_layers=8, **NETWORK),
    "MAF": lambda: nvp.MAF([2], num_layers=8, **NETWORK),
    "IAF": lambda: nvp.IAF([2], num_layers=8, **NETWORK),
    "NeuralSplineFlow": lambda: nvp.NeuralSplineFlow([2], num_layers=4, hidden_units=64, seed=0),
    "MAF of splines": _with(nvp.transformers.RationalQuadratic(num_bins=16)),
    "MAF of mixtures of logistics": _with(nvp.transformers.MixtureOfLogistics()),
    "MAF of deep sigmoids (NAF)": _with(nvp.transformers.DeepSigmoidal()),
    "MAF of monotone networks (UMNN)": _with(nvp.transformers.UnconstrainedMonotonic()),
    "MAF of Bernstein polynomials": _with(nvp.transformers.Bernstein()),
    "MAF of sums of squares": _with(nvp.transformers.SumOfSquares()),
    "BlockNAF": lambda: nvp.BlockNAF([2], num_layers=3, seed=0),
    "AugmentedFlow": lambda: nvp.AugmentedFlow([2], num_layers=8, **NETWORK),
    "MixtureOfFlows": lambda: nvp.distributions.MixtureOfFlows(
        [nvp.RealNVP([2], num_layers=4, hidden_units=[32, 32], seed=seed) for seed in range(4)]
    ),
    "PlanarFlow": lambda: nvp.PlanarFlow([2], num_layers=32, seed=0),
    "RadialFlow": lambda: nvp.RadialFlow([2], num_layers=32, seed=0),
    "SylvesterFlow": lambda: nvp.SylvesterFlow([2], num_layers=16, seed=0),
    "ResidualFlow": lambda: nvp.ResidualFlow([2], num_layers=8, **NETWORK),
    "ContinuousFlow": lambda: nvp.ContinuousFlow([2], **NETWORK),
    "ContinuousFlow, matched": lambda: nvp.ContinuousFlow([2], **NETWORK),
}


def batches(density: Density, seed: int) -> Iterator[np.ndarray]:
    """New rows for every step."""
    rng = np.random.default_rng(seed)
    while True:
        yield density.sample(rng, BATCH).astype(np.float32)


class Trial:
    """A family's model, compiled once and trained on one density after another, always from the same weights."""

    def __init__(self, family: str, steps: int):
        model = (nvp.FlowMatching if family.endswith("matched") else nvp.FlowModel)(FAMILIES[family]())
        model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps), clipnorm=10.0))
        self.model, self.steps = model, steps
        self._first = [variable.numpy() for variable in model.distribution.variables]
        flow = model.distribution
        self._log_prob = tf.function(flow.log_prob, jit_compile=True)
        self._sample = tf.function(lambda: flow.sample(TIMED_ROWS, seed=tf.constant([0, 1])), jit_compile=True)

    def train(self, density: Density) -> float:
        """Trains on new rows of the density; returns the seconds, those of compiling the first time included."""
        start = time.perf_counter()
        for variable, value in zip(self.model.distribution.variables, self._first, strict=True):
            variable.assign(value)
        for variable in self.model.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        keras.utils.set_random_seed(0)
        self.model.distribution.initialize(next(batches(density, 1)))
        self.model.fit(batches(density, 2), steps_per_epoch=self.steps, epochs=1, verbose=0)
        return time.perf_counter() - start

    def measure(self, density: Density) -> dict[str, Any]:
        """Trains on a density and measures the gap and the times."""
        seconds, model = self.train(density), self.model
        x = density.sample(np.random.default_rng(3), TEST_ROWS).astype(np.float32)
        gaps = density.log_prob(x.astype(np.float64)) - np.asarray(model.log_prob(x))
        rows = tf.constant(x[:TIMED_ROWS])
        axis = np.linspace(-density.extent, density.extent, 80, dtype=np.float32)
        grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        return {
            "gap": float(gaps.mean()),
            "error": float(gaps.std() / math.sqrt(len(gaps))),
            "seconds": seconds,
            "steps": self.steps,
            "weights": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
            "log_prob_us": microseconds_a_row(lambda: self._log_prob(rows)),
            "sample_us": microseconds_a_row(self._sample),
            "density": np.round(np.exp(np.asarray(model.log_prob(grid))), 4).tolist(),
            "samples": np.round(np.asarray(model.sample(500, seed=0)), 3).tolist(),
        }


def microseconds_a_row(function: Callable[[], Any]) -> float:
    """The least time of five calls, the first of which compiles."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        np.asarray(function())
        times.append(time.perf_counter() - start)
    return 1e6 * min(times[1:]) / TIMED_ROWS


def fit(output: Path, steps: int, families: list[str], names: list[str]) -> None:
    """Runs what is not in the output yet."""
    results = json.loads(output.read_text()) if output.exists() else {}
    for family in families:
        missing = [name for name in names if name not in results.get(family, {})]
        trial = Trial(family, steps) if missing else None
        for name in missing:
            found = trial.measure(DENSITIES[name])
            results.setdefault(family, {})[name] = found
            output.write_text(json.dumps(results))
            print(f"{family} on {name}: {found['gap']:.3f} ± {found['error']:.3f} nats, {found['seconds']:.0f} s")


def table(output: Path) -> str:
    """The results as a Markdown table."""
    results = json.loads(output.read_text())
    names = [name for name in DENSITIES if any(name in found for found in results.values())]
    lines = [
        "| family | " + " | ".join(names) + " | weights | log_prob, µs | sample, µs |",
        "|" + "---|" * (len(names) + 4),
        "| entropy, nats | " + " | ".join(f"{DENSITIES[name].entropy()[0]:.3f}" for name in names) + " | | | |",
    ]
    for family, found in results.items():
        gaps = [f"{found[n]['gap']:.3f} ± {found[n]['error']:.3f}" if n in found else "" for n in names]
        one = next(iter(found.values()))
        times = [f"{np.median([run[key] for run in found.values()]):.2f}" for key in ("log_prob_us", "sample_us")]
        lines.append(f"| {family} | " + " | ".join([*gaps, f"{one['weights']:,}", *times]) + " |")
    return "\n".join(lines)


def gallery(output: Path, picture: Path) -> None:
    """Draws density and samples of every family on every density."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    results = json.loads(output.read_text())
    names = [name for name in DENSITIES if any(name in found for found in results.values())]
    shape = (len(results) + 1, len(names))
    flat = len(names) == 1  # a row of families, not a column
    size = (1.7 * shape[1] + 1.2, 1.75 * shape[0])
    figure, axes = plt.subplots(*(shape[::-1] if flat else shape), figsize=size[::-1] if flat else size, squeeze=False)
    axes = axes.T if flat else axes
    for column, name in enumerate(names):
        density = DENSITIES[name]
        limits = (-density.extent, density.extent) * 2
        axis = np.linspace(-density.extent, density.extent, 80)
        truth = np.exp(density.log_prob(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))).reshape(80, 80)
        if not flat:
            axes[0, column].set_title(name, fontsize=9)
        for row, family in enumerate([None, *results]):
            ax = axes[row, column]
            ax.set(xticks=[], yticks=[], xlim=limits[:2], ylim=limits[:2], aspect="equal")
            label = "truth" if family is None else family
            if flat:
                ax.set_title(label, fontsize=7)
            elif column == 0:
                ax.set_ylabel(label, fontsize=7)
            found = None if family is None else results[family].get(name)
            if family is None or found is not None:
                shown = truth if found is None else np.reshape(found["density"], (80, 80))
                ax.imshow(shown, origin="lower", extent=limits, vmax=np.quantile(truth, 0.995), cmap="Blues")
            if found is not None:
                ax.scatter(*np.transpose(found["samples"]), s=0.4, color="C1", linewidths=0)
                ax.set_xlabel(f"{found['gap']:.3f}", fontsize=7, labelpad=1)
    figure.tight_layout(pad=0.3)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["fit", "table", "gallery"])
    parser.add_argument("--output", type=Path, default=Path("families.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs/images/families.png"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--densities", nargs="+", choices=DENSITIES, default=list(DENSITIES))
    arguments = parser.parse_args()
    if arguments.command == "fit":
        fit(arguments.output, arguments.steps, arguments.families, arguments.densities)
    elif arguments.command == "table":
        print(table(arguments.output))
    else:
        gallery(arguments.output, arguments.picture)


if __name__ == "__main__":
    main()
