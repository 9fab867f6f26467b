"""Two moons: a flow fitted with one line, next to the true density.

The moons are two half circles blurred by Gaussian noise, so their density is known, and its
entropy is a bound: no model's negative log-likelihood (NLL) can be below it.

    python examples/01_two_moons.py        about a minute on two cores; the picture is in runs/two_moons
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn.datasets import make_moons

import tfp_nvp as nvp

tfd = tfp.distributions

NOISE = 0.05
RANGES = (-1.6, 2.6), (-1.1, 1.6)  # ten standard deviations of noise beyond the moons
POINTS = 300  # of the grid, along each axis


def main(steps: int | None = None, out: str | None = None) -> dict[str, float]:
    """Fits, compares, draws.

    Args:
      steps: most training steps; None for what `nvp.fit` chooses.
      out: folder for the picture, two_moons.png; None for none.

    Returns:
      nll: mean −log p of the flow on 10,000 new points, in nats.
      entropy: that of the true density, in nats.
      true_nll: mean −log p of the true density on the same points, in nats.
      grid_sum: the flow's density summed over the grid; 1 if none is missing.
    """
    x, _ = make_moons(10_000, noise=NOISE, random_state=0)
    x_test, _ = make_moons(10_000, noise=NOISE, random_state=1)

    # 1. Fit. An epoch is a pass over nine tenths of the points: 35 steps. The rest decides when to stop.
    model = nvp.fit(x, epochs=None if steps is None else max(1, steps // 35), seed=0)

    # 2. Compare with the truth, on new points and on a grid.
    truth = two_moons()
    grid, cell = make_grid()
    true_density, density = (np.exp(log_prob(each, grid)) for each in (truth, model))
    found = {
        "nll": float(-log_prob(model, x_test).mean()),
        "entropy": float(-cell * np.sum(true_density * np.log(np.maximum(true_density, 1e-30)))),
        "true_nll": float(-log_prob(truth, x_test).mean()),
        "grid_sum": float(cell * density.sum()),
    }
    print(f"NLL of the flow        {found['nll']:.4f} nats on {len(x_test):,} new points")
    print(f"NLL of the truth       {found['true_nll']:.4f} nats on the same points")
    print(f"entropy of the truth   {found['entropy']:.4f} nats")
    print(f"sum of the density     {found['grid_sum']:.4f} over a grid of {POINTS} × {POINTS}")

    # 3. Draw.
    if out is not None:
        path = Path(out) / "two_moons.png"
        draw(true_density, density, model.sample(5000, seed=0).numpy(), path)
        print(f"picture                {path}")
    return found


def two_moons() -> tfd.Distribution:
    """The density that `make_moons` draws from: points spread evenly over the angles of two half circles, blurred.

    A sum of 250 Gaussians for each, a quarter of their standard deviation apart: to float32's
    precision, that is a smooth ridge.
    """
    angles = np.pi * (np.arange(250) + 0.5) / 250
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    lower = np.stack([1.0 - np.cos(angles), 0.5 - np.sin(angles)], axis=-1)
    centers = tf.constant(np.concatenate([upper, lower]), tf.float32)
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.zeros(len(centers))), tfd.MultivariateNormalDiag(centers, NOISE * tf.ones([2]))
    )


def make_grid() -> tuple[np.ndarray, float]:
    """The points [POINTS², 2] of a grid, row by row, and the area that each stands for."""
    x, y = (np.linspace(low, high, POINTS) for low, high in RANGES)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return grid.astype(np.float32), float((x[1] - x[0]) * (y[1] - y[0]))


def log_prob(distribution: tfd.Distribution | nvp.FlowModel, x: np.ndarray) -> np.ndarray:
    """log p [n] of x [n, 2], in pieces that fit into memory."""
    pieces = np.array_split(x.astype(np.float32), max(1, len(x) // 5000))
    return np.concatenate([distribution.log_prob(piece).numpy() for piece in pieces])


def draw(true_density: np.ndarray, density: np.ndarray, samples: np.ndarray, path: Path) -> None:
    """Three panels: the true density, the flow's, and its samples."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.3), facecolor="white", layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    colors = colormaps["magma"]
    for panel, values in zip(panels, (true_density, density), strict=False):
        image = panel.imshow(
            values.reshape(POINTS, POINTS),
            origin="lower",
            extent=(*RANGES[0], *RANGES[1]),
            interpolation="bilinear",
            aspect="auto",
            cmap=colors,
            vmax=true_density.max(),
        )
    panels[2].plot(*samples.T, "o", color=colors(0.8), markersize=1.5, markeredgewidth=0, alpha=0.6)
    for panel, title in zip(panels, ("true density", "density of the flow", "samples of the flow"), strict=True):
        panel.set(xlim=(-1.35, 2.35), ylim=(-0.85, 1.35), xlabel="$x_1$", facecolor=colors(0.0))
        panel.set_title(title, fontsize=13, color="#333333", pad=8)
        panel.spines[:].set_visible(False)
    panels[0].set_ylabel("$x_2$")
    figure.colorbar(image, ax=panels, label="density", pad=0.01).outline.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main(out="runs/two_moons")
