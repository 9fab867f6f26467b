"""Small data and small models."""

from collections.abc import Callable

import numpy as np
import pytest

import tfp_nvp as nvp


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    """256 correlated rows [256, 2], float32."""
    z = rng.normal(size=(256, 2))
    return (z @ [[2.0, 0.5], [0.0, 0.3]] + [1.0, -3.0]).astype(np.float32)


@pytest.fixture
def make_flow() -> Callable[..., nvp.Flow]:
    """A small RealNVP; keyword arguments go to it."""

    def make(**kwargs: object) -> nvp.Flow:
        return nvp.RealNVP([2], **{"num_layers": 2, "hidden_units": [8], "seed": 0, **kwargs})

    return make


@pytest.fixture
def make_model(make_flow: Callable[..., nvp.Flow]) -> Callable[..., nvp.FlowModel]:
    """A compiled model of a small RealNVP."""

    def make(**kwargs: object) -> nvp.FlowModel:
        model = nvp.FlowModel(make_flow(**kwargs))
        model.compile(optimizer="adam")
        return model

    return make
