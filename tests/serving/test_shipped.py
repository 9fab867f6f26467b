"""The model that ships answers as it did when it was made (benchmarks/ship_two_moons.py)."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_moons

from tfp_nvp import serving

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "saved_models" / "two_moons" / "1"  # `make demo` adds versions


@pytest.fixture(scope="module")
def served():
    return serving.load(FOLDER)


@pytest.fixture(scope="module")
def stored():
    with np.load(HERE / "two_moons.npz") as values:
        return dict(values)


def test_the_shipped_model_gives_the_stored_values(served, stored):
    # Values were stored on another processor, and splines have slopes up to 1,000 (min_slope).
    np.testing.assert_allclose(served.log_prob(stored["x"]), stored["log_prob"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(served.sample(20, seed=0), stored["samples"], rtol=1e-3, atol=1e-3)


def test_the_shipped_model_has_its_test_likelihood(served, stored):
    x, _ = make_moons(10_000, noise=0.05, random_state=0)
    x_test, _ = make_moons(10_000, noise=0.05, random_state=1)
    rows = ((x_test - x.mean(0)) / x.std(0)).astype(np.float32)
    log_prob = np.concatenate([served.log_prob(part) for part in np.array_split(rows, 5)])
    assert -log_prob.mean() == pytest.approx(float(stored["test_nll"]), abs=1e-3)


def test_the_shipped_density_sums_to_one(served):
    axis = np.linspace(-3.5, 3.5, 501, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.concatenate([np.exp(served.log_prob(part)) for part in np.array_split(grid, 40)])
    # The rectangle rule on the grid, not rounding.
    assert float(density.sum()) * (axis[1] - axis[0]) ** 2 == pytest.approx(1.0, abs=0.01)
