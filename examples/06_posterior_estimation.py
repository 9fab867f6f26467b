"""From a simulator to a posterior, and a check that the posterior is as sure as it should be.

A damped oscillation is measured at 20 times, with noise. Its frequency and damping are to be inferred.
Parameters are drawn from the prior, each is simulated once, and a conditional flow learns p(θ | x) from
the pairs: neural posterior estimation. It then answers for any measurement at once, without
simulating again. Here the likelihood is known, so the exact posterior is drawn beside it.

    python examples/06_posterior_estimation.py        about three minutes on two cores; pictures are in runs/posterior
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import tfp_nvp as nvp
from tfp_nvp.evaluation import credibility, plot_calibration, ranks

NAMES = ["frequency", "damping"]
LOW, HIGH = np.array([0.5, 0.1]), np.array([2.0, 1.0])  # of the uniform prior
TIMES = np.linspace(0.0, 4.0, 20)
NOISE = 0.3


def simulate(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Measurements x [n, 20] of oscillations of frequency and damping θ [n, 2]."""
    return signal(theta) + NOISE * rng.normal(size=(len(theta), len(TIMES)))


def signal(theta: np.ndarray) -> np.ndarray:
    """What is measured without noise: [..., 2] → [..., 20]."""
    frequency, damping = theta[..., :1], theta[..., 1:]
    return np.exp(-damping * TIMES) * np.cos(2 * np.pi * frequency * TIMES)


def main(steps: int | None = None, out: str | None = None) -> dict[str, float]:
    """Simulates, fits, compares, checks.

    Args:
      steps: most training steps; None for what `nvp.fit` chooses.
      out: folder for the pictures, posterior.png and calibration.png; None for none.

    Returns:
      nll: mean −log q(θ | x) of 500 new pairs, in nats.
      exact_nll: that of the exact posterior.
      coverage_90: share of them within the flow's 90 % regions of highest density.
    """
    # 1. Simulate.
    rng = np.random.default_rng(0)
    theta = rng.uniform(LOW, HIGH, size=(10_000, 2))
    x = simulate(theta, rng)

    # 2. Fit p(θ | x). The prior's bounds are the support: no sample leaves them. An epoch has 35 steps of 256 pairs.
    epochs = None if steps is None else max(1, steps // 35)
    posterior = nvp.fit(theta, x, support=(LOW, HIGH), epochs=epochs, seed=0)

    # 3. Check on new pairs: the likelihood of the true parameters, their ranks, and the expected coverage.
    new_theta = rng.uniform(LOW, HIGH, size=(500, 2))
    new_x = simulate(new_theta, rng)
    rank = ranks(posterior, new_theta, new_x, num_samples=400)
    levels = credibility(posterior, new_theta, new_x, num_samples=400)
    found = {
        "nll": -float(np.mean(posterior.log_prob(new_theta, condition=new_x))),
        "exact_nll": -float(np.mean([exact_log_prob(t, o) for t, o in zip(new_theta, new_x, strict=True)])),
        "coverage_90": float(np.mean(levels < 0.9)),
    }
    print(f"NLL of new pairs      {found['nll']:.3f} nats; of the exact posterior {found['exact_nll']:.3f}")
    print(f"within the 90 % regions of highest density: {found['coverage_90']:.1%}")

    # 4. Draw.
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        plot_calibration(rank, 400, levels, NAMES, folder / "calibration.png")
        draw(posterior, new_theta[:3], new_x[:3], folder / "posterior.png")
        print(f"written               {folder / 'calibration.png'}, {folder / 'posterior.png'}")
    return found


def exact_grid(x: np.ndarray, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """The exact posterior's log-density on a grid: θ [points, points, 2] and log p(θ | x) [points, points]."""
    axes = [low + (high - low) * (np.arange(points) + 0.5) / points for low, high in zip(LOW, HIGH, strict=True)]
    theta = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    log_likelihood = -0.5 * np.square((x - signal(theta)) / NOISE).sum(axis=-1)
    cell = np.prod((HIGH - LOW) / points)
    highest = log_likelihood.max()
    return theta, log_likelihood - highest - np.log(np.exp(log_likelihood - highest).sum() * cell)


def exact_log_prob(theta: np.ndarray, x: np.ndarray) -> float:
    """log p(θ | x) by Bayes' rule, the evidence summed over the grid."""
    grid, log_prob = exact_grid(x)
    log_evidence = -0.5 * np.square((x - signal(grid[0, 0])) / NOISE).sum() - log_prob[0, 0]
    return float(-0.5 * np.square((x - signal(theta)) / NOISE).sum() - log_evidence)


def draw(posterior: nvp.FlowModel, theta: np.ndarray, x: np.ndarray, path: Path) -> None:
    """Samples of the flow over contours of the exact posterior, one panel for each measurement."""
    figure = Figure(figsize=(4 * len(x), 3.6), layout="constrained")
    for i, axes in enumerate(figure.subplots(1, len(x), squeeze=False)[0]):
        grid, log_prob = exact_grid(x[i], points=600)
        samples = posterior.sample(1000, condition=x[i], seed=i).numpy()
        axes.plot(*samples.T, ".", color="#d95f02", markersize=2.5, label="flow")
        levels = log_prob.max() - np.array([4.6, 2.3, 0.7])  # 99, 90 and 50 % of a Gaussian's mass
        style = {"colors": "#31688e", "linewidths": 1.2, "linestyles": "solid"}
        axes.contour(grid[..., 0], grid[..., 1], log_prob, levels=levels, **style)
        axes.plot([], [], color="#31688e", label="exact")
        axes.plot(*theta[i], "x", color="black", label="true")
        center, spread = samples.mean(axis=0), 5 * samples.std(axis=0)
        axes.set(
            xlim=(max(LOW[0], center[0] - spread[0]), min(HIGH[0], center[0] + spread[0])),
            ylim=(max(LOW[1], center[1] - spread[1]), min(HIGH[1], center[1] + spread[1])),
            xlabel=NAMES[0],
            ylabel=NAMES[1],
        )
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(out="runs/posterior")
