"""The MNIST model that ships answers as it did when it was made (benchmarks/images.py ship)."""

from pathlib import Path

import numpy as np
import pytest

from tfp_nvp import serving

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "saved_models" / "mnist" / "1"


@pytest.fixture(scope="module")
def served():
    return serving.load(FOLDER)


@pytest.fixture(scope="module")
def stored():
    with np.load(HERE / "mnist.npz") as values:
        return dict(values)


def test_it_gives_the_stored_densities(served, stored):
    bits = served.log_prob(stored["samples"], seed=1) / (784 * np.log(2.0))
    # In bits per dimension; other processors round 784 densities of steep splines differently.
    np.testing.assert_allclose(bits, stored["log_prob"] / (784 * np.log(2.0)), atol=1e-3)


def test_it_draws_the_stored_samples(served, stored):
    samples = served.sample(8, seed=0)
    assert samples.dtype == np.uint8
    assert np.mean(samples != stored["samples"]) < 0.01  # rounding may move a grey level, and what follows from it


def test_it_is_small():
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size <= 15e6
