"""Flows and TFP's own surrogate posteriors, fitted by reverse KL to densities that are known.

    python benchmarks/reverse_kl.py [--output reverse_kl.json] [--steps 3000] [--seeds 0 1 2]

Every surrogate is fitted by `tfp.vi.fit_surrogate_posterior`: so many steps of 128 draws, Adam with a cosine from 5e-3,
gradients clipped to a norm of 5, XLA. Nothing is chosen. The divergence KL(q ‖ p), the mean of log q(x) − log p(x) over
50,000 new draws of q, is in nats, and 0 is perfect since p is normalized. It says nothing of what q misses: the share
of effective draws, (Σ w)² / (n Σ w²) of importance weights w = p / q, and for the two modes the share of draws at the
rarer one say more. Runs that are in the output are not repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp

tfb, tfd = tfp.bijectors, tfp.distributions
DRAWS, TEST_DRAWS = 128, 50_000


class Target(NamedTuple):
    """A density of [d] numbers, normalized."""

    size: int
    log_prob: Callable[[tf.Tensor], tf.Tensor]


def funnel(x: tf.Tensor) -> tf.Tensor:
    """Neal's funnel: v ~ N(0, 3²) and nine numbers ~ N(0, exp(v)) (Neal 2003, "Slice sampling", section 8)."""
    v, others = x[..., 0], x[..., 1:]
    inner = tfd.Normal(0.0, tf.exp(0.5 * v)[..., tf.newaxis]).log_prob(others)
    return tfd.Normal(0.0, 3.0).log_prob(v) + tf.reduce_sum(inner, axis=-1)


def banana(x: tf.Tensor) -> tf.Tensor:
    """x₁ ~ N(0, 1), x₂ ~ N(x₁² − 1, 0.3²)."""
    return tfd.Normal(0.0, 1.0).log_prob(x[..., 0]) + tfd.Normal(x[..., 0] ** 2 - 1.0, 0.3).log_prob(x[..., 1])


def two_modes(x: tf.Tensor) -> tf.Tensor:
    """Normals of standard deviation ½ around (−2, −2) and (2, 2), one third and two thirds."""
    parts = tf.stack([tf.reduce_sum(tfd.Normal(mean, 0.5).log_prob(x), axis=-1) for mean in (-2.0, 2.0)], axis=-1)
    return tf.reduce_logsumexp(parts + tf.math.log([1.0 / 3.0, 2.0 / 3.0]), axis=-1)


TARGETS = {"funnel": Target(10, funnel), "banana": Target(2, banana), "two modes": Target(2, two_modes)}

NETWORK: dict[str, Any] = {"hidden_units": [64, 64], "activation": "tanh"}
SURROGATES: dict[str, Callable[[int, int], tfd.Distribution]] = {
    "TFP: factored": lambda d, seed: tfp.experimental.vi.build_factored_surrogate_posterior([d]),
    "TFP: affine, full covariance": lambda d, seed: tfp.experimental.vi.build_affine_surrogate_posterior(
        [d], operators="tril"
    ),
    "PlanarFlow, 16 layers": lambda d, seed: nvp.PlanarFlow([d], num_layers=16, seed=seed),
    "SylvesterFlow, 8 layers": lambda d, seed: nvp.SylvesterFlow([d], num_layers=8, seed=seed),
    "RealNVP, 6 layers": lambda d, seed: nvp.RealNVP([d], num_layers=6, seed=seed, **NETWORK),
    "IAF, 4 layers": lambda d, seed: nvp.IAF([d], num_layers=4, seed=seed, **NETWORK),
    "NeuralSplineFlow, 4 layers": lambda d, seed: nvp.NeuralSplineFlow([d], num_layers=4, hidden_units=64, seed=seed),
}


def measured(surrogate: str, target: Target, steps: int, seed: int) -> dict[str, Any]:
    """Fits one surrogate to one target, and measures it."""
    keras.utils.set_random_seed(seed)
    q = SURROGATES[surrogate](target.size, seed)
    start = time.perf_counter()
    tfp.vi.fit_surrogate_posterior(
        target.log_prob,
        q,
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps), global_clipnorm=5.0),
        num_steps=steps,
        sample_size=DRAWS,
        trainable_variables=q.trainable_variables,
        jit_compile=True,
        seed=tf.constant([seed, 1]),
    )
    seconds = time.perf_counter() - start
    x, log_q = q.experimental_sample_and_log_prob(TEST_DRAWS, seed=tf.constant([seed, 2]))
    gaps = np.asarray(log_q, np.float64) - np.asarray(target.log_prob(x), np.float64)
    weights = np.exp(-gaps - np.max(-gaps))
    return {
        "kl": float(gaps.mean()),
        "error": float(gaps.std() / math.sqrt(len(gaps))),
        "effective": float(weights.sum() ** 2 / (len(gaps) * (weights**2).sum())),
        "rarer": float(np.mean(np.asarray(x)[:, 0] < 0.0)),
        "seconds": seconds,
        "weights": int(sum(np.prod(v.shape) for v in q.trainable_variables)),
    }


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table: means over the seeds."""
    lines = ["| surrogate | " + " | ".join(f"{name}: KL; effective" for name in TARGETS) + " | rarer mode | weights |"]
    lines.append("|" + "---|" * (len(TARGETS) + 3))

    def mean(runs: list[dict[str, Any]], key: str) -> float:
        return float(np.mean([run[key] for run in runs]))

    for surrogate, found in results.items():
        runs = {name: list(found.get(name, {}).values()) for name in TARGETS}
        cells = [
            f"{mean(each, 'kl'):.3f} ({min(run['kl'] for run in each):.3f} to {max(run['kl'] for run in each):.3f}); "
            f"{mean(each, 'effective'):.2f}"
            if each
            else ""
            for each in runs.values()
        ]
        modes = runs["two modes"]
        cells.append(f"{mean(modes, 'rarer'):.2f}" if modes else "")
        cells.append(f"{next(run['weights'] for each in runs.values() for run in each):,}")
        lines.append(f"| {surrogate} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("reverse_kl.json"))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    results = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for seed in arguments.seeds:
        for surrogate in SURROGATES:
            for name, target in TARGETS.items():
                runs = results.setdefault(surrogate, {}).setdefault(name, {})
                if str(seed) in runs:
                    continue
                found = runs[str(seed)] = measured(surrogate, target, arguments.steps, seed) | {
                    "steps": arguments.steps
                }
                arguments.output.write_text(json.dumps(results))
                print(f"{surrogate} on {name}: {found['kl']:.3f} ± {found['error']:.3f}, {found['seconds']:.0f} s")
    print(table(results))


if __name__ == "__main__":
    main()
