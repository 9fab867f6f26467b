"""Neural posterior estimation, one round of it, on three tasks of the simulation-based-inference benchmark.

    python benchmarks/sbi.py --data-dir DIR [--task NAME ...] [--simulations 1000 ...] [--output sbi.jsonl]
                             [--models DIR] [--seed 0] [--observations 10] [--workers 2]

For each task and number of simulations: draws parameters θ from the prior and x from the
simulator, fits p(θ | x) with `nvp.fit(theta, condition=x, support=prior's bounds)`, draws 10,000
samples for each of the benchmark's 10 observations, and compares them with its reference
samples (`DIR/sbibm/TASK.npz`) by C2ST: the accuracy of a classifier, 5-fold cross-validated,
between the two, 0.5 where they can't be told apart (Lopez-Paz & Oquab 2017, arXiv:1610.06545;
protocol of Lueckmann et al. 2021, arXiv:2101.04653).

Appends one JSON line per fit to the output, and skips what is in it; fitted models and the accuracy
for each observation are kept in --models, from which an interrupted run goes on. Defaults were
chosen by likelihoods of simulations, never by the benchmark's observations (docs/benchmarks/fitting.md).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

import tfp_nvp as nvp
from tfp_nvp.evaluation import c2st

PUBLISHED = {  # one-round NPE, mean C2ST over the 10 observations
    "two_moons": {1_000: 0.725, 10_000: 0.606, 100_000: 0.542},
    "gaussian_linear": {1_000: 0.694, 10_000: 0.552, 100_000: 0.506},
    "slcp": {1_000: 0.975, 10_000: 0.901, 100_000: 0.831},
}


@dataclass(frozen=True)
class Task:
    """A prior, a simulator, and the prior's bounds."""

    prior: Callable[[np.random.Generator, int], np.ndarray]
    simulate: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    support: tuple[float, float] | None


def two_moons(rng: np.random.Generator, theta: np.ndarray) -> np.ndarray:
    """A crescent, shifted by |θ1 + θ2| and θ2 − θ1."""
    a = rng.uniform(-np.pi / 2, np.pi / 2, len(theta))
    r = rng.normal(0.1, 0.01, len(theta))
    crescent = np.stack([r * np.cos(a) + 0.25, r * np.sin(a)], axis=1)
    shift = np.stack([-np.abs(theta.sum(axis=1)), theta[:, 1] - theta[:, 0]], axis=1) / np.sqrt(2)
    return crescent + shift


def gaussian_linear(rng: np.random.Generator, theta: np.ndarray) -> np.ndarray:
    """θ plus noise of variance 0.1."""
    return theta + rng.normal(0.0, np.sqrt(0.1), theta.shape)


def slcp(rng: np.random.Generator, theta: np.ndarray) -> np.ndarray:
    """Four draws of a bivariate Gaussian whose mean and covariance are functions of θ."""
    s1, s2, rho = theta[:, 2] ** 2, theta[:, 3] ** 2, np.tanh(theta[:, 4])
    first, second = rng.normal(size=(2, len(theta), 4))
    x1 = theta[:, :1] + s1[:, None] * first
    x2 = theta[:, 1:2] + s2[:, None] * (rho[:, None] * first + np.sqrt(1 - rho**2)[:, None] * second)
    return np.stack([x1, x2], axis=-1).reshape(len(theta), 8)


TASKS = {
    "two_moons": Task(lambda rng, n: rng.uniform(-1.0, 1.0, (n, 2)), two_moons, (-1.0, 1.0)),
    "gaussian_linear": Task(lambda rng, n: rng.normal(0.0, np.sqrt(0.1), (n, 10)), gaussian_linear, None),
    "slcp": Task(lambda rng, n: rng.uniform(-3.0, 3.0, (n, 5)), slcp, (-3.0, 3.0)),
}


def main() -> None:
    """Fits and compares what was asked for and is not in the output yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--task", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--simulations", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--output", type=Path, default=Path("sbi.jsonl"))
    parser.add_argument("--models", type=Path, default=Path("sbi_models"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--observations", type=int, default=10, help="compare for the first so many only")
    parser.add_argument("--workers", type=int, default=2, help="processes that classify")
    arguments = parser.parse_args()
    arguments.models.mkdir(parents=True, exist_ok=True)
    lines = arguments.output.read_text().splitlines() if arguments.output.exists() else []
    done = {(row["task"], row["simulations"], row["seed"]) for row in map(json.loads, lines)}
    for simulations in arguments.simulations:
        for name in arguments.task:
            if (name, simulations, arguments.seed) in done:
                continue
            path = arguments.models / f"{name}-{simulations}-{arguments.seed}.keras"
            row = {"task": name, "simulations": simulations, "seed": arguments.seed}
            row |= fitted(path, TASKS[name], simulations, arguments.seed)
            benchmark = dict(np.load(arguments.data_dir / "sbibm" / f"{name}.npz"))
            row |= compared(path, benchmark, TASKS[name].support, arguments.observations, arguments.workers)
            row["published"] = PUBLISHED[name].get(simulations)
            with arguments.output.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)


def fitted(path: Path, task: Task, simulations: int, seed: int) -> dict:
    """Figures of a fit, whose model is at `path`."""
    figures = path.with_suffix(".json")
    if figures.exists():
        return json.loads(figures.read_text())
    rng = np.random.default_rng([seed, simulations])
    theta = task.prior(rng, simulations)
    x = task.simulate(rng, theta)
    start = time.perf_counter()
    model = nvp.fit(theta, x, support=task.support, seed=seed, verbose=0)
    seconds = time.perf_counter() - start
    model.save(path)
    history = model.history.history
    row = {
        "validation nll": round(float(np.min(history["val_nll"])), 4),
        "best epoch": int(np.argmin(history["val_nll"])) + 1,
        "epochs": len(history["nll"]),
        "parameters": model.count_params(),
        "fit seconds": round(seconds),
    }
    figures.write_text(json.dumps(row))
    return row


def compared(path: Path, benchmark: dict, support: tuple[float, float] | None, observations: int, workers: int) -> dict:
    """C2ST of the model's samples for the first observations; those known already are read from a file."""
    cache = path.with_suffix(".c2st.json")
    known = json.loads(cache.read_text()) if cache.exists() else {}
    model = keras.saving.load_model(path)
    with ProcessPoolExecutor(workers) as pool:
        jobs = {}
        for i in range(observations):
            if str(i) in known:
                continue
            condition = benchmark["observation"][i].astype(np.float32)
            samples = model.sample(10_000, condition=condition, seed=i).numpy()
            if support is not None:
                low, high = support
                assert (samples >= low).all()
                assert (samples <= high).all()
            jobs[pool.submit(accuracy, benchmark["reference_posterior_samples"][i], samples, i)] = i
        for job in as_completed(jobs):
            known[str(jobs[job])] = round(job.result(), 4)
            cache.write_text(json.dumps(known))
    accuracies = [known[str(i)] for i in range(observations)]
    return {"c2st": round(float(np.mean(accuracies)), 4), "c2st of each": accuracies}


def accuracy(reference: np.ndarray, samples: np.ndarray, seed: int) -> float:
    """C2ST of the two, both [n, d], on one thread, since several run side by side."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return c2st(reference, samples, seed=seed)


if __name__ == "__main__":
    main()
