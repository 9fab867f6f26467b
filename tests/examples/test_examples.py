"""Every example runs, with few steps, and returns figures that make sense.

Those of other things than a fit, an export and a layer of one's own are exhaustive.
"""

import runpy
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfp_nvp as nvp
from tests.serving.wire.processes import start, stop

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"


def main_of(name: str) -> Callable[..., dict[str, Any]]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]


def test_two_moons(tmp_path):
    found = main_of("01_two_moons")(steps=140, out=str(tmp_path))
    assert found["entropy"] == pytest.approx(found["true_nll"], abs=0.05)
    # Two lines of length π and a Gaussian across, if they neither bent nor ended.
    assert found["entropy"] == pytest.approx(np.log(2 * np.pi) + 0.5 * np.log(2 * np.pi * np.e * 0.05**2), abs=0.05)
    assert found["true_nll"] < found["nll"] < 2.0
    assert found["grid_sum"] == pytest.approx(1.0, abs=0.05)
    assert (tmp_path / "two_moons.png").stat().st_size > 10_000


@pytest.mark.exhaustive
def test_two_moons_plain(tmp_path):
    found = main_of("11_two_moons_plain")(steps=40, out=str(tmp_path))
    assert found["nll"] < found["first_nll"] - 0.3
    assert found["bits_per_dim"] == pytest.approx(found["nll"] / (2 * np.log(2.0)), rel=1e-4)
    assert found["reconstruction_error"] < 1e-3
    assert (tmp_path / "two_moons_plain.png").stat().st_size > 10_000


def test_own_transformer(tmp_path):
    found = main_of("02_own_transformer")(steps=40, out=str(tmp_path))
    assert found["checks"] == 14
    assert found["affine_nll"] < 4.0
    assert found["bend_nll"] < 4.0
    assert (tmp_path / "bend.keras").exists()


def test_tabular(tmp_path):
    found = main_of("03_tabular")(steps=30, out=str(tmp_path))
    assert found["gain"] == pytest.approx(found["gaussian_nll"] - found["nll"], abs=1e-3)
    assert found["gain"] > -10.0
    assert found["served_difference"] < 1e-3
    assert (tmp_path / "corner.png").stat().st_size > 10_000
    assert (tmp_path / "measures" / "1" / "saved_model.pb").exists()


@contextmanager
def wire_server(models, config):
    """The address of the tests' own model server."""
    nvp.serving.write_deployment(models, config)
    running = start("ours", (config / "local" / "models.config").read_text(), config / "server")
    try:
        yield f"grpc://localhost:{running.port}"
    finally:
        stop(running)


@pytest.mark.exhaustive
def test_inside_tfp():
    found = main_of("04_inside_tfp")(steps=60)
    assert found["exact_mean"] == pytest.approx(found["joint_mean"], abs=1.0)
    assert 0.0 < found["joint_sd"] < 1.5
    assert -0.5 < found["elbo_loss"] < 5.0
    assert 1.0 < found["flow_sd"] < 5.0


@pytest.mark.exhaustive
def test_class_conditional(tmp_path):
    found = main_of("05_class_conditional")(steps=40, out=str(tmp_path))
    assert found["nll"] < -50.0
    assert found["accuracy"] > 0.5
    assert (tmp_path / "digits.png").stat().st_size > 5_000


@pytest.mark.exhaustive
def test_posterior_estimation(tmp_path):
    found = main_of("06_posterior_estimation")(steps=105, out=str(tmp_path))
    assert found["exact_nll"] < found["nll"] < 0.2  # the prior's is 0.3
    assert 0.6 < found["coverage_90"] <= 1.0
    assert (tmp_path / "posterior.png").stat().st_size > 10_000
    assert (tmp_path / "calibration.png").stat().st_size > 10_000


@pytest.mark.exhaustive
def test_regression(tmp_path):
    found = main_of("07_regression")(steps=30, out=str(tmp_path))
    assert found["nll"] < found["linear_nll"] + 0.2
    assert 0.3 < found["coverage_50"] < 0.7
    assert 0.7 < found["coverage_90"] <= 1.0
    assert (tmp_path / "intervals.png").stat().st_size > 10_000
    assert (tmp_path / "calibration.png").stat().st_size > 5_000


def test_every_example_is_tested_and_numbered():
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert [name[:3] for name in names] == [f"{i:02d}_" for i in range(1, len(names) + 1)]
    assert [name for name in names if f"test_{name[3:]}" not in globals()] == []


@pytest.mark.exhaustive
def test_glow_digits(tmp_path):
    found = main_of("08_glow_digits")(steps=60, num_steps=2, out=str(tmp_path))
    assert 1.0 < found["bits_100"] < found["bits"] < found["uniform"]
    assert found["inverse_error"] < 1e-2
    assert (tmp_path / "glow_digits.png").stat().st_size > 10_000


@pytest.mark.exhaustive
def test_mnist(tmp_path, monkeypatch):
    """With two groups of sub-images for sixteen, whose graphs take minutes."""

    def small(event_shape, **arguments):
        return nvp.SubscaleFlow(event_shape, factor=2, num_groups=2, num_blocks=1, **arguments)

    monkeypatch.setattr(nvp.SubscaleFlow, "preset", small)
    found = main_of("09_mnist")(steps=20, hidden_units=4, out=str(tmp_path))
    assert found["bits"] < 8.0
    assert found["served"] == pytest.approx(found["bits"], abs=0.2)
    assert found["inverse_error"] < 1e-2
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [f"epoch_{i:04d}.png" for i in (1, 2, 3)]


@pytest.mark.exhaustive
def test_serving(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_serving.apis")
    states = []

    class Client(nvp.serving.Client):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            states.append("open")

        def close(self):
            super().close()
            states.append("closed")

    monkeypatch.setattr(nvp.serving, "Client", Client)
    found = main_of("10_serving")(steps=60, out=str(tmp_path), serve=wire_server)
    assert (found["first_version"], found["second_version"]) == (1, 2)
    assert found["difference"] < 1e-3
    assert found["false_positives"] < 0.3
    assert found["true_positives"] > 0.3
    assert (tmp_path / "config" / "compose.yaml").exists()
    assert states == ["open", "closed"] * 2
