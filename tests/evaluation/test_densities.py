"""The densities of the benchmark of families are densities, and their samples are of them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "densities.py"
SPEC = importlib.util.spec_from_file_location("densities", FILE)
densities = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(densities)


@pytest.mark.parametrize("name", densities.DENSITIES)
def test_mass_and_samples(name: str, rng):
    density = densities.DENSITIES[name]
    half, n = 2.2 * density.extent, 180
    axis = (np.arange(n) + 0.5) / n * 2.0 * half - half
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    cells = np.exp(density.log_prob(grid)) * (2.0 * half / n) ** 2
    assert cells.sum() == pytest.approx(1.0, abs=0.03)  # of a checkerboard's edges and the funnel's tails
    # Means of two functions, by quadrature and by samples within five standard errors and the quadrature's 3 %.
    x = density.sample(rng, 4000)
    for function in (lambda x: np.cos(x[:, 0] + 2.0 * x[:, 1]), lambda x: np.tanh(x[:, 0] * x[:, 1])):
        values = function(x)
        assert values.mean() == pytest.approx((cells * function(grid)).sum(), abs=5.0 * values.std() / 63.0 + 0.03)
