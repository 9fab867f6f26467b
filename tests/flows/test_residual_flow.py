"""Residual flows fit, and hold their bounds while they do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conditioners.test_lipschitz import true_norms
from tfp_nvp.bijectors import Residual


def two_moons(rng, n: int) -> np.ndarray:
    angle, upper = np.pi * rng.uniform(size=n), rng.integers(2, size=n)
    x = np.where(upper, np.cos(angle), 1.0 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return (np.stack([x, y], axis=-1) + 0.1 * rng.normal(size=(n, 2))).astype("float32")


def residuals(flow) -> list[Residual]:
    return [module for module in flow.submodules if isinstance(module, Residual)]


@pytest.mark.exhaustive
def test_it_fits_two_moons_and_stays_a_density(rng, tmp_path):
    """Better than a Gaussian; it still integrates to one, and its networks are contractions, loaded too."""
    x, held_out = two_moons(rng, 2000), two_moons(rng, 1000)
    model = nvp.FlowModel(nvp.ResidualFlow([2], num_layers=3, hidden_units=[32], seed=0))
    model.compile(keras.optimizers.Adam(0.03), jit_compile=False)
    model.fit(x, epochs=20, batch_size=200, verbose=0)
    of_a_gaussian = 0.5 * np.linalg.slogdet(2.0 * np.pi * np.e * np.cov(x.T))[1]
    assert -np.mean(model.log_prob(held_out)) < of_a_gaussian - 0.2
    model.save(tmp_path / "model.keras")
    for flow in (model.distribution, keras.models.load_model(tmp_path / "model.keras").distribution):
        norms = np.asarray([true_norms(layer.conditioner) for layer in residuals(flow)])
        assert norms.shape == (3, 2)
        assert norms.max() <= 0.97**0.5 * (1.0 + 1e-5)
    xs, ys = np.linspace(-4.0, 5.0, 181), np.linspace(-4.0, 4.5, 171)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    assert abs(np.exp(model.log_prob(grid)).sum() * 0.05**2 - 1.0) < 0.01
    samples = model.sample(2000, seed=1)
    np.testing.assert_allclose(np.mean(samples, axis=0), np.mean(x, axis=0), atol=0.15)


def test_large_events_train_by_estimates_without_bias(rng):
    """A Gaussian of 40 correlated elements: the fit gets better, and the error says how well its density is known."""
    mixing = np.eye(40) + 0.3 * rng.normal(size=(40, 40)) / np.sqrt(40.0)
    x = (rng.normal(size=(512, 40)) @ mixing).astype("float32")
    model = nvp.FlowModel(nvp.ResidualFlow([40], num_layers=1, hidden_units=[64], num_probes=64, seed=0))
    model.compile(keras.optimizers.Adam(0.01))
    before = np.mean(model.log_prob(x))
    model.fit(x, epochs=5, batch_size=64, verbose=0)
    flow = model.distribution
    assert not flow.bijector.has_exact_log_det
    mean, error = (np.mean(value) for value in flow.log_prob_and_error(x, num_draws=8, seed=0))
    assert mean > before + 0.3
    assert 0.0 < error < 1.0
    # 64 vectors of signs make the fixed estimate exact but for terms left out; errors of 512 rows are independent.
    assert abs(np.mean(flow.log_prob(x)) - mean) < 0.1


def test_a_new_flow_is_its_base_and_a_seed_gives_the_same():
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 3)), tf.float32)
    one, same = (nvp.ResidualFlow([3], num_layers=2, hidden_units=[8], seed=1) for _ in range(2))
    np.testing.assert_allclose(one.log_prob(x), one.distribution.log_prob(x), rtol=1e-6)
    for a, b in zip(one.variables, same.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len({layer._seed for layer in residuals(one)}) == 2  # for random signs of their own


@pytest.mark.exhaustive
def test_images_of_integers_train_by_estimates(rng):
    """Stripes: each column is all black or all white, so that a pixel tells its column."""
    images = np.broadcast_to(rng.integers(2, size=(200, 1, 6, 1)), (200, 6, 6, 1)) * 3
    flow = nvp.ImageResidualFlow([6, 6, 1], num_levels=1, num_steps=1, hidden_units=8, seed=0)
    model = nvp.FlowModel(nvp.Dequantized(flow, levels=4))
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(images, epochs=10, batch_size=50, verbose=0).history
    assert history["bits_per_dim"][-1] < history["bits_per_dim"][0] - 0.2
    norms = np.asarray([true_norms(layer.conditioner) for layer in residuals(flow)])
    assert norms.shape == (1, 3)
    assert norms.max() <= 0.97 ** (1 / 3) * (1.0 + 1e-5)
