"""`evaluate` of images: bits per dimension, of a .keras file and of an export; refusals."""

import json

import numpy as np
import pytest

import tfp_nvp as nvp
from tfp_nvp.cli import images, models


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with flow.keras, given.keras (conditional), an export, and images.npz."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, size=(30, 4, 4)).astype(np.uint8)
    np.savez(folder / "images.npz", x=x, y=rng.integers(0, 3, size=30), floats=x / 255.0, few=x[:3])
    for name, shape in (("flow", None), ("given", [3])):
        glow = nvp.Glow(
            [4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=256, condition_shape=shape, seed=0
        )
        images = nvp.Dequantized(glow)
        images.initialize(x[..., None], None if shape is None else np.eye(3, dtype=np.float32)[[0] * 30])
        model = nvp.FlowModel(images)
        model.save(folder / f"{name}.keras")
        if shape is None:
            nvp.export(model, folder / "saved_model", verify=False)
    return folder


@pytest.mark.parametrize("model", ["flow.keras", "saved_model", "saved_model/1"])
def test_bits_per_dim_of_images(model, digits, run):
    result = run("evaluate", digits / model, digits / "images.npz", "--key", "x", "--json")
    found = json.loads(result.out)
    assert result.code == 0
    assert found["rows"] == 30
    assert found["bits_per_dim"] == pytest.approx(found["nll"] / np.log(2.0) / 16)
    assert 7.0 < found["bits_per_dim"] < 12.0


def test_more_draws_give_a_tighter_bound(digits, run):
    arguments = ["evaluate", digits / "flow.keras", digits / "images.npz", "--key", "x", "--json"]
    one, many = (json.loads(run(*arguments, "--num-samples", n).out)["bits_per_dim"] for n in (1, 8))
    assert many < one + 1e-3
    assert "8 draws of the noise" in run(*arguments[:-1], "--num-samples", 8).out


def test_labels_are_the_condition_of_a_conditional_model(digits, run):
    result = run("evaluate", digits / "given.keras", digits / "images.npz", "--key", "x", "--condition", "y", "--json")
    assert result.code == 0, result
    assert json.loads(result.out)["rows"] == 30


def test_what_does_not_fit_is_refused(digits, refused):
    images = digits / "images.npz"
    assert "must be integers" in refused("evaluate", digits / "flow.keras", images, "--key", "floats")
    assert "no array 'z'" in refused("evaluate", digits / "given.keras", images, "--key", "x", "--condition", "z")
    assert "30 rows of 'y'" in refused("evaluate", digits / "given.keras", images, "--key", "few", "--condition", "y")
    assert "needs a condition" in refused("evaluate", digits / "given.keras", images, "--key", "x")
    assert "takes no condition" in refused("evaluate", digits / "flow.keras", images, "--key", "x", "--condition", "y")
    assert "choose one with --key" in refused("evaluate", digits / "flow.keras", images)


def test_rows_of_different_batches_get_different_noise(digits, monkeypatch):
    model, x = models.load_any(digits / "flow.keras", images=True), np.full((20, 4, 4, 1), 7, np.uint8)
    monkeypatch.setattr(images, "_AT_ONCE", 16 * 8 * 5)
    seen = []
    monkeypatch.setattr(
        models.Model, "integer_log_prob", lambda self, x, c, seed: seen.append(seed) or np.zeros(len(x))
    )
    images.score_images(model, images.Images("x", x, None), num_samples=2, seed=0)
    assert len(seen) == len(set(seen)) == 8


def test_images_of_another_kind_than_the_models(digits, refused, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    nvp.FlowModel(nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, seed=0)).save(folder / "real.keras")
    np.save(folder / "table.npy", np.zeros([20, 16]))
    np.savez(folder / "objects.npz", x=np.zeros([3, 2]), o=np.array([{}], dtype=object))
    images_file = digits / "images.npz"
    assert "density of real numbers" in refused("evaluate", folder / "real.keras", images_file, "--key", "x")
    assert "a table, but the model is of events [4, 4, 1]" in refused(
        "evaluate", folder / "real.keras", folder / "table.npy"
    )
    assert "a table, but" in refused("evaluate", folder / "real.keras", folder / "objects.npz", "--key", "x")
    assert "no --columns" in refused("evaluate", digits / "flow.keras", images_file, "--key", "x", "--columns", "a")
