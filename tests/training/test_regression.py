import keras
import numpy as np
import pytest

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp.training._tables.regression import PENALTIES, regression_shift, ridge


def test_it_finds_a_linear_relation(rng):
    kernel, bias = rng.normal(size=(3, 2)), rng.normal(size=2)
    c, other = rng.normal(size=(2000, 3)), rng.normal(size=(500, 3))
    found = ridge(c @ kernel + bias, c, other @ kernel + bias, other)
    np.testing.assert_allclose(found[0], kernel, atol=1e-4)
    np.testing.assert_allclose(found[1], bias, atol=1e-4)


def test_it_is_ridge_regression(rng, monkeypatch):
    monkeypatch.setattr("tfp_nvp.training._tables.regression.PENALTIES", np.array([0.1]))
    x, c = rng.normal(size=(50, 2)), rng.normal(size=(50, 3))
    found, _ = ridge(x, c, x, c)
    centered = c - c.mean(axis=0)
    right = np.linalg.solve(centered.T @ centered + 0.1 * 50 * np.eye(3), centered.T @ (x - x.mean(axis=0)))
    np.testing.assert_allclose(found, right, rtol=1e-9)


def test_noise_in_many_columns_is_not_fitted(rng):
    """Fewer rows than columns, and nothing to find: the penalty is what holds the weights down."""
    c, x = rng.normal(size=(60, 100)), rng.normal(size=(60, 1))
    other_c, other_x = rng.normal(size=(400, 100)), rng.normal(size=(400, 1))
    kernel, bias = ridge(x, c, other_x, other_c)
    error = np.square(other_x - other_c @ kernel - bias).mean()
    assert error < 1.05 * np.square(other_x - x.mean()).mean()


def test_a_column_that_is_constant_or_doubled_does_no_harm(rng):
    c = rng.normal(size=(200, 2))
    c = np.concatenate([c, c[:, :1], np.zeros([200, 1])], axis=1)
    kernel, _ = ridge(c[:, :1], c, c[:, :1], c)
    assert np.isfinite(kernel).all()
    assert kernel[0, 0] == pytest.approx(kernel[2, 0])
    assert kernel[3, 0] == 0.0


def test_the_highest_penalty_leaves_next_to_nothing():
    assert 1.0 / (1.0 + PENALTIES[-1]) < 1e-2


def test_the_bijector_shifts_by_the_regression(rng):
    c = rng.normal(size=(100, 2)).astype(np.float32)
    x = c @ np.float32([[1.0], [2.0]]) + 3.0
    shift = regression_shift(x, c, (x, c), "float32")
    assert not shift.trainable_variables
    np.testing.assert_allclose(shift.inverse(x, condition=c), np.zeros_like(x), atol=1e-3)


def test_a_linear_gaussian_is_fitted_by_its_regression(rng):
    """What is linear costs no flow anything: few rows, and the fit is close to the truth."""
    c = rng.normal(size=(400, 5))
    y = 3.0 * c[:, :1] - c[:, 1:2] + 0.1 * rng.normal(size=(400, 1))
    model = nvp.fit(y, c, flow=small, seed=0, epochs=2, verbose=0)
    other = rng.normal(size=(2000, 5))
    target = 3.0 * other[:, :1] - other[:, 1:2] + 0.1 * rng.normal(size=(2000, 1))
    entropy = 0.5 * np.log(2 * np.pi * np.e * 0.01)
    nll = -np.mean(model.log_prob(target.astype(np.float32), condition=other.astype(np.float32)))
    assert nll == pytest.approx(entropy, abs=0.1)


def test_it_is_part_of_the_saved_model(rng, tmp_path):
    c = rng.normal(size=(100, 2)).astype(np.float32)
    x = c @ np.float32([[1.0], [2.0]]) + 0.1 * rng.normal(size=(100, 1)).astype(np.float32)
    model = nvp.fit(x, c, flow=small, seed=0, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.log_prob(x, condition=c), model.log_prob(x, condition=c))


def test_the_flow_gets_standardized_residuals(rng):
    c = rng.normal(size=(500, 1))
    x = c + 1e-3 * rng.normal(size=(500, 1))
    base = nvp.distributions.ConditionalNormal([1], [1], hidden_units=[4], seed=0)
    model = nvp.fit(x, c, flow=base, epochs=1, seed=0, verbose=0)
    entropy = 0.5 * np.log(2 * np.pi * np.e * 1e-6)
    assert -np.mean(model.log_prob(x, condition=c)) == pytest.approx(entropy, abs=0.1)
