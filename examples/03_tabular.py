"""A real table: fitted, held against a Gaussian, drawn, exported and asked.

Five measures of cell nuclei in 569 images (Street, Wolberg & Mangasarian 1993; UCI Machine
Learning Repository, doi:10.24432/C5DW2B), which scikit-learn ships: skewed, one bent along
another, of scales from 0.01 to 400. No preprocessing: `nvp.fit` does it within the model.

    python examples/03_tabular.py        about two minutes on two cores; results are in runs/tabular
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import tensorflow_probability as tfp
from sklearn.datasets import load_breast_cancer

import tfp_nvp as nvp
from tfp_nvp import serving
from tfp_nvp.evaluation import plot_corner

tfd = tfp.distributions

COLUMNS = ["radius", "area", "texture", "smoothness", "compactness"]


def main(steps: int | None = None, out: str | None = None) -> dict[str, float]:
    """Fits, compares, draws, exports.

    Args:
      steps: most training steps; None for what `nvp.fit` chooses.
      out: folder for the picture, corner.png, and the export, measures/1; None for none.

    Returns:
      nll: mean −log p of the flow on the held-out rows, in nats.
      gaussian_nll: that of a Gaussian with the fitted rows' mean and covariance.
      gain, gain_error: their difference, and its standard error.
      served_difference: largest difference between the exported model's log p and Python's.
    """
    # 1. A fifth of the rows is held out.
    x = table()
    order = np.random.default_rng(0).permutation(len(x))
    x_test, x = np.split(x[order], [len(x) // 5])

    # 2. Fit. An epoch is a pass over four fifths of these rows: four steps. The rest decides when to stop.
    model = nvp.fit(x, epochs=None if steps is None else max(1, steps // 4), seed=0)

    # 3. Compare, row by row: the rows that are hard for one are hard for the other.
    gaussian = tfd.MultivariateNormalTriL(x.mean(axis=0), np.linalg.cholesky(np.cov(x.T)))
    gain = model.log_prob(x_test).numpy() - gaussian.log_prob(x_test).numpy()
    found = {
        "nll": float(-np.mean(model.log_prob(x_test))),
        "gaussian_nll": float(-np.mean(gaussian.log_prob(x_test))),
        "gain": float(gain.mean()),
        "gain_error": float(gain.std() / np.sqrt(len(gain))),
    }
    print(f"{len(x)} rows fitted, {len(x_test)} held out")
    print(f"NLL of a Gaussian   {found['gaussian_nll']:.3f} nats")
    print(f"NLL of the flow     {found['nll']:.3f} nats")
    print(f"gain                {found['gain']:.3f} ± {found['gain_error']:.3f} nats a row")

    # 4. Draw: marginals of one and of two columns, of all rows and of samples.
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(out or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        plot_corner(table(), model.sample(5000, seed=0), COLUMNS, folder / "corner.png")

        # 5. Export, and ask the export: no code of this package is needed on the other side.
        version = serving.export(model, folder / "measures", warmup=x)
        served = serving.load(version)
        difference = served.log_prob(x_test) - model.log_prob(x_test).numpy()
        found["served_difference"] = float(np.abs(difference).max())
        print(f"export              {', '.join(served.signatures)}")
        print(f"its log_prob        off by at most {found['served_difference']:.1e} nats")
        if out is not None:
            print(f"written             {folder / 'corner.png'}, {version}")
    return found


def table() -> np.ndarray:
    """The columns' means over each image, [569, 5]."""
    data = load_breast_cancer()
    names = data.feature_names.tolist()
    return data.data[:, [names.index(f"mean {column}") for column in COLUMNS]]


if __name__ == "__main__":
    main(out="runs/tabular")
