"""Regression with a density for an answer: intervals that hold as much as they say.

How far a disease of 442 diabetes patients progressed in a year, from ten measurements
(Efron, Hastie, Johnstone & Tibshirani 2004, doi:10.1214/009053604000000067), which scikit-learn
ships. A conditional flow learns p(y | x), whatever its shape and however its width depends on x;
it is held against linear regression with Gaussian noise.

    python examples/07_regression.py        about a minute on two cores; pictures are in runs/regression
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow_probability as tfp
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

import tfp_nvp as nvp
from tfp_nvp.evaluation import plot_calibration, ranks

tfd = tfp.distributions

SAMPLES = 999


def main(steps: int | None = None, out: str | None = None) -> dict[str, float]:
    """Fits, compares, checks the intervals.

    Args:
      steps: most training steps; None for what `nvp.fit` chooses.
      out: folder for the pictures, intervals.png and calibration.png; None for none.

    Returns:
      nll: mean −log p(y | x) of the flow on the held-out patients, in nats.
      linear_nll: that of linear regression.
      coverage_50, coverage_90: shares of them within the flow's central intervals.
    """
    # 1. A third of the patients is held out. The answer is an integer: noise of one unit's width makes a density of it.
    rng = np.random.default_rng(0)
    features, progression = load_diabetes(return_X_y=True, scaled=False)
    order = rng.permutation(len(features))
    y = progression[:, np.newaxis] + rng.uniform(-0.5, 0.5, size=(len(progression), 1))
    test, train = np.split(order, [len(order) // 3])

    # 2. Fit p(y | x), y being positive. An epoch is a pass over four fifths of these patients: three steps.
    epochs = None if steps is None else max(1, steps // 3)
    model = nvp.fit(y[train], features[train], support=(0, None), epochs=epochs, seed=0)

    # 3. Compare with linear regression and Gaussian noise.
    line = LinearRegression().fit(features[train], y[train])
    deviation = np.std(y[train] - line.predict(features[train]), ddof=features.shape[1] + 1)
    gaussian = tfd.Normal(line.predict(features[test])[:, 0], deviation)
    found = {
        "nll": -float(np.mean(model.log_prob(y[test], condition=features[test]))),
        "linear_nll": -float(np.mean(gaussian.log_prob(y[test, 0]))),
    }

    # 4. Intervals are quantiles of samples; ranks say which of them hold the truth.
    samples = model.sample(SAMPLES, condition=features[test], seed=1).numpy()[..., 0]
    rank = ranks(model, y[test], features[test], num_samples=SAMPLES)
    for percent in (50, 90):
        low, high = np.percentile(samples, [50 - percent / 2, 50 + percent / 2], axis=0)
        found[f"coverage_{percent}"] = float(np.mean((low <= y[test, 0]) & (y[test, 0] <= high)))
    print(f"NLL of the flow               {found['nll']:.3f} nats")
    print(f"NLL of linear regression      {found['linear_nll']:.3f} nats")
    print(f"within the 50 % intervals     {found['coverage_50']:.1%} of {len(test)} held-out patients")
    print(f"within the 90 % intervals     {found['coverage_90']:.1%}")

    # 5. Draw.
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        plot_calibration(rank, SAMPLES, names=["progression"], path=folder / "calibration.png")
        draw(samples, y[test, 0], folder / "intervals.png")
        print(f"written                       {folder / 'calibration.png'}, {folder / 'intervals.png'}")
    return found


def draw(samples: np.ndarray, y: np.ndarray, path: Path) -> None:
    """Every held-out patient's intervals, by median, and what happened."""
    samples = samples[:, order := np.argsort(np.median(samples, axis=0))]
    low, lower, median, upper, high = np.percentile(samples, [5, 25, 50, 75, 95], axis=0)
    places = np.arange(len(y))
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(places, low, high, color="#31688e", alpha=0.2, linewidth=0, label="90 % interval")
    axes.fill_between(places, lower, upper, color="#31688e", alpha=0.45, linewidth=0, label="50 % interval")
    axes.plot(places, median, color="#31688e", linewidth=1.2, label="median")
    axes.plot(places, y[order], ".", color="#d95f02", markersize=5, label="measured")
    axes.set(xlabel="held-out patients, by the predicted median", ylabel="progression after a year")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(out="runs/regression")
