"""What all tests share."""

import gc

import numpy as np
import pytest

# Tracing makes so many small objects that Python's collector takes a tenth of the time of a run at its usual threshold.
gc.set_threshold(200_000, 20, 100)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(20250117)
