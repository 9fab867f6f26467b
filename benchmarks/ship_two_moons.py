"""Makes the model that ships in saved_models/two_moons, and the values its test compares with.

    python benchmarks/ship_two_moons.py [--out saved_models/two_moons]

Fits the default recipe of `tfp_nvp.fit` to 10,000 standardized points of two moons (noise
0.05, seed 0), exports it as the next version, and writes what the exported model answers to
tests/serving/two_moons.npz. Prints the test NLL next to the entropy of the true density, and
the sum of the density over a grid.
"""

from __future__ import annotations

import argparse
import json
import runpy
from pathlib import Path

import numpy as np
from sklearn.datasets import make_moons

import tfp_nvp as nvp

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Fits, checks, exports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "saved_models" / "two_moons")
    out = parser.parse_args().out
    example = runpy.run_path(str(ROOT / "examples" / "01_two_moons.py"))
    x, _ = make_moons(10_000, noise=0.05, random_state=0)
    x_test, _ = make_moons(10_000, noise=0.05, random_state=1)
    mean, deviation = x.mean(0), x.std(0)
    model = nvp.fit((x - mean) / deviation, seed=0, verbose=2)

    # In the moons' own units, where the truth is known, the log-density is lower by Σ log deviation.
    shift = float(np.log(deviation).sum())
    truth, (grid, cell), log_prob = example["two_moons"](), example["make_grid"](), example["log_prob"]
    true_log_prob = log_prob(truth, grid)
    figures = {
        "test_nll": -float(log_prob(model, (x_test - mean) / deviation).mean()),
        "entropy": -float(cell * np.sum(np.exp(true_log_prob) * true_log_prob)) - shift,
        "true_test_nll": -float(log_prob(truth, x_test).mean()) - shift,
        "grid_sum": float(cell * np.exp(log_prob(model, (grid - mean) / deviation) - shift).sum()),
        "parameters": model.count_params(),
    }
    print(json.dumps(figures, indent=1))

    rows = ((x_test[:20] - mean) / deviation).astype(np.float32)
    card = {
        "data": "make_moons(noise=0.05), 10,000 points, "
        f"minus {mean.round(4).tolist()}, over {deviation.round(4).tolist()}",
        "test NLL": f"{figures['test_nll']:.3f} nats on 10,000 new points; the entropy is {figures['entropy']:.3f}",
    }
    version = nvp.export(model, out, warmup=rows, card=card)
    served = nvp.serving.load(version)
    samples = served.sample(20, seed=0)
    np.savez(
        ROOT / "tests" / "serving" / "two_moons.npz",
        x=rows,
        log_prob=served.log_prob(rows),
        samples=samples,
        test_nll=figures["test_nll"],
    )
    print(version)


if __name__ == "__main__":
    main()
