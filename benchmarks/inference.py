"""Surrogate posteriors and chains through them, beside TensorFlow Probability's own sampler, on curved targets.

    python benchmarks/inference.py [--output inference.json] [--target NAME ...] [--steps 5000] [--chains 16]
                                   [--samples 500] [--warmup 500] [--seeds 0]

For each target: `fit_surrogate` at its defaults, with the bound and Pareto k̂ of 4,000 draws; then NUTS through the
flow (`sample_chains(target, surrogate)`), and NUTS alone (`sample_chains(target)`: its step size adapted, no mass
matrix). `ess` is the smallest effective number of draws of any element's mean, over all chains; an efficiency is it
divided by the gradients after the warm-up, or by the seconds of a second run of the chains, warm-up included, compiled
already. The fit's seconds are reported apart. Errors of moments are in standard deviations of the truth where that is
known, or of a long run of NUTS on the non-centred form (eight schools). Runs that are in the output are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import inference
from tfp_nvp.inference._target import as_target
from tfp_nvp.inference.chains import chain_function, chains_of, starts

tfd = tfp.distributions
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0], "float32")
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0], "float32")


class Target(NamedTuple):
    """A distribution, and the mean and standard deviation of each element where they are known.

    Attributes:
      distribution: pinned, or with a density of its own.
      moments: from the structure's flattened elements; None where `reference` makes them.
    """

    distribution: Any
    moments: Callable[[], tuple[np.ndarray, np.ndarray]]


def funnel() -> Target:
    """v ~ N(0, 3²) and nine numbers ~ N(0, exp(v)) (Neal 2003, "Slice sampling", section 8)."""
    joint = tfd.JointDistributionSequential(
        [tfd.Normal(0.0, 3.0), lambda v: tfd.Sample(tfd.Normal(tf.zeros_like(v), tf.exp(0.5 * v)), 9)]
    )
    # The moments of the nine are those of no use: their variance is exp(4.5). v alone is compared.
    return Target(joint, lambda: (np.array([0.0]), np.array([3.0])))


def banana() -> Target:
    """x₁ ~ N(0, 1), x₂ ~ N(x₁² − 1, 0.3²)."""
    joint = tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), lambda first: tfd.Normal(first**2 - 1.0, 0.3)])
    return Target(joint, lambda: (np.zeros(2), np.array([1.0, np.sqrt(2.09)])))


def schools() -> Target:
    """Eight schools, centred: μ ~ N(0, 5²), τ ~ HalfCauchy(5), θ ~ N(μ, τ²), y ~ N(θ, σ²) (Rubin 1981)."""

    @tfd.JointDistributionCoroutineAutoBatched
    def model() -> Any:
        mean = yield tfd.Normal(0.0, 5.0, name="mu")
        scale = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
        effects = yield tfd.Sample(tfd.Normal(mean, scale), 8, name="theta")
        yield tfd.Normal(effects, ERRORS, name="y")

    return Target(model.experimental_pin(y=EFFECTS), schools_moments)


def schools_moments() -> tuple[np.ndarray, np.ndarray]:
    """From 16 chains of 5,000 draws of NUTS on the non-centred form."""

    @tfd.JointDistributionCoroutineAutoBatched
    def model() -> Any:
        mean = yield tfd.Normal(0.0, 5.0, name="mu")
        scale = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
        standard = yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="standard")
        yield tfd.Normal(mean + scale * standard, ERRORS, name="y")

    found = inference.sample_chains(
        model.experimental_pin(y=EFFECTS), num_chains=16, num_samples=5000, num_warmup=1000, seed=99
    )
    mean, scale, standard = (np.asarray(part, np.float64) for part in found.events)
    theta = mean[..., np.newaxis] + scale[..., np.newaxis] * standard
    rows = np.concatenate([mean[..., np.newaxis], scale[..., np.newaxis], theta], axis=-1).reshape(-1, 10)
    print(f"reference of eight schools: R̂ {found.worst_r_hat:.4f}, ESS {found.least_ess:.0f}", flush=True)
    return rows.mean(axis=0), rows.std(axis=0)


def mixture() -> Target:
    """Three normals of ten numbers, of weights ½, ¼ and ¼, five deviations apart in pairs."""
    means = np.zeros([3, 10], "float32")
    means[1, 0], means[2, 1] = 5.0, 5.0
    weights = np.array([0.5, 0.25, 0.25])
    distribution = tfd.MixtureSameFamily(
        tfd.Categorical(probs=weights.astype("float32")), tfd.MultivariateNormalDiag(means, np.ones_like(means))
    )
    mean = weights @ means
    return Target(distribution, lambda: (mean, np.sqrt(1.0 + weights @ (means - mean) ** 2)))


TARGETS = {"funnel": funnel, "banana": banana, "eight schools": schools, "mixture": mixture}


def flat(events: Any, size: int) -> np.ndarray:
    """The first `size` elements of events [chains, draws, ...] as rows."""
    parts = [np.asarray(part, np.float64) for part in tf.nest.flatten(events)]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=-1)[..., :size]


def of_chains(target: Target, moments: tuple[np.ndarray, np.ndarray], surrogate: Any, options: Any, seed: int) -> dict:
    """Figures of NUTS with or without a flow. The time is that of a second call, compiled already."""
    density = as_target(target.distribution)
    run = chain_function(
        density,
        surrogate,
        kernel=None,
        num_samples=options.samples,
        num_warmup=options.warmup,
        target_accept=0.8,
        jit_compile=True,
    )
    start = starts(density, surrogate, options.chains, seed)
    run(start, tf.constant([seed, 0]))
    begin = time.perf_counter()
    found = chains_of(density, *run(start, tf.constant([seed, 1])))
    seconds = time.perf_counter() - begin
    mean, deviation = moments
    rows = flat(found.events, len(mean))
    return {
        "ess": found.least_ess,
        "r_hat": found.worst_r_hat,
        "gradients": found.num_gradients,
        "seconds": seconds,
        "acceptance": found.acceptance,
        "divergences": int(found.diverging.sum()),
        "mean_error": float(np.max(np.abs(rows.mean(axis=(0, 1)) - mean) / deviation)),
        "deviation_error": float(np.max(np.abs(rows.std(axis=(0, 1)) / deviation - 1.0))),
    }


def measured(target: Target, options: Any, seed: int) -> dict[str, Any]:
    """All figures of one target and seed."""
    moments = target.moments()
    begin = time.perf_counter()
    fit = inference.fit_surrogate(target.distribution, num_steps=options.steps, seed=seed)
    seconds = time.perf_counter() - begin
    sample = fit.importance_sample(4000, seed=seed)
    mean, deviation = moments
    rows = flat(tf.nest.map_structure(lambda part: part[tf.newaxis], sample.events), len(mean))[0]
    weights = np.exp(sample.log_weights)[:, np.newaxis]
    corrected = (weights * rows).sum(axis=0)
    corrected_deviation = np.sqrt((weights * (rows - corrected) ** 2).sum(axis=0))
    return {
        "fit": {
            "seconds": seconds,
            "steps": len(fit.losses),
            "bound": fit.bound,
            "k_hat": sample.k_hat,
            "ess": sample.ess,
            "log_evidence": sample.log_evidence,
            "mean_error": float(np.max(np.abs(rows.mean(axis=0) - mean) / deviation)),
            "deviation_error": float(np.max(np.abs(rows.std(axis=0) / deviation - 1.0))),
            "corrected_mean_error": float(np.max(np.abs(corrected - mean) / deviation)),
            "corrected_deviation_error": float(np.max(np.abs(corrected_deviation / deviation - 1.0))),
        },
        "through": of_chains(target, moments, fit.surrogate, options, seed),
        "alone": of_chains(target, moments, None, options, seed),
    }


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| target | chains | ESS | per 1,000 gradients | per second | R̂ | divergences | errors: means, deviations |",
        "|" + "---|" * 8,
    ]
    for name, runs in results.items():
        for seed, run in runs.items():
            fit = run["fit"]
            print(
                f"{name}, seed {seed}: k̂ {fit['k_hat']:.2f}, ESS {fit['ess']:.0f} of 4,000, fit {fit['seconds']:.0f} s"
            )
            for key, title in (("through", "NUTS through the flow"), ("alone", "NUTS alone")):
                row = run[key]
                lines.append(
                    f"| {name} | {title} | {row['ess']:.0f} | {1000 * row['ess'] / row['gradients']:.2f} "
                    f"| {row['ess'] / max(row['seconds'], 1e-3):.0f} | {row['r_hat']:.3f} | {row['divergences']} "
                    f"| {row['mean_error']:.2f}, {row['deviation_error']:.2f} |"
                )
    return "\n".join(lines)


def main() -> None:
    """Runs what was asked for and is not in the output yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("inference.json"))
    parser.add_argument("--target", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--chains", type=int, default=16)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--warmup", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    results = json.loads(options.output.read_text()) if options.output.exists() else {}
    for seed in options.seeds:
        for name in options.target:
            runs = results.setdefault(name, {})
            if str(seed) not in runs:
                runs[str(seed)] = measured(TARGETS[name](), options, seed)
                options.output.write_text(json.dumps(results, indent=1))
                print(name, seed, json.dumps(runs[str(seed)]), flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
