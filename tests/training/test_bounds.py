"""Columns with bounds, on grids, and both: mass, agreement of samples and density, noise and rounding."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp.training import Schema


def quick(x, *args, **kwargs):
    return nvp.fit(x, *args, **{"epochs": 1, "seed": 0, "verbose": 0, "flow": small, **kwargs})


def binomial(rng, rows=600):
    """x in quarters, on both of its bounds, beside a continuous column."""
    return np.stack([10.0 + 0.25 * rng.binomial(6, 0.5, rows), rng.normal(size=rows)], axis=1)


@pytest.mark.parametrize("sigma", [2.0, 4.0, 8.0])
def test_the_density_of_a_bounded_column_over_decades_integrates_to_one(sigma, rng):
    x = rng.lognormal(0.0, sigma, size=(2000, 1))
    model = quick(x, support=(0.0, None), epochs=2)
    log_x = np.linspace(-87.0, 85.0, 20_001)
    log_prob = model.log_prob(np.exp(log_x)[:, np.newaxis]).numpy().astype(np.float64)
    assert np.trapezoid(np.exp(log_prob + log_x), log_x) == pytest.approx(1.0, abs=5e-3)
    entropy = np.log(sigma) + 0.5 * np.log(2.0 * np.pi * np.e)
    assert -np.mean(model.log_prob(x)) == pytest.approx(entropy, abs=0.1 * sigma)  # 5 standard errors of the mean
    samples, of_samples = model.sample_and_log_prob(5000, seed=1)
    assert samples.numpy().min() > 0.0
    np.testing.assert_allclose(model.log_prob(samples), of_samples, atol=1e-5)
    assert abs(np.log(samples.numpy()).std() / sigma - 1.0) < 0.1


@pytest.mark.parametrize("flip", [False, True])
def test_values_that_round_to_their_bound_are_spread_next_to_it(flip, rng):
    """Of beta(0.1, 0.1), float32 rounds a tenth to 1."""
    x = rng.beta(0.1, 0.1, size=(1000, 1))
    x, support, at_bound = (-x, (-1.0, 0.0), x > 1 - 2**-24) if flip else (x, (0.0, 1.0), x > 1 - 2**-24)
    with pytest.warns(UserWarning, match=r"column 0 lie on the bound -?1 of their support"):
        model = quick(x, support=support)
    edges = model.schema.edge_low if flip else model.schema.edge_high
    noisy = model.schema.with_noise(x.astype(np.float32), [0, 0]).numpy()
    assert edges == pytest.approx((64 * 2.0**-24,))
    bound = -1.0 if flip else 1.0
    assert np.abs(noisy - bound)[at_bound].min() > 0.0
    assert np.abs(noisy - bound)[at_bound].max() <= edges[0]
    samples, of_samples = model.sample_and_log_prob(5000, seed=1)
    assert samples.numpy().min() > support[0]
    assert samples.numpy().max() < support[1]
    np.testing.assert_allclose(model.log_prob(samples), of_samples, atol=1e-4)


def test_bounds_hold_for_grid_columns_and_samples_are_on_the_grid(rng, tmp_path):
    x = binomial(rng)
    with pytest.warns(UserWarning, match="samples are rounded to the grid"):
        model = quick(x, support=([10.0, None], [11.5, None]))
    assert model.schema.step == (0.25, 0.0)
    samples = model.sample(4000, seed=1).numpy()
    assert set(samples[:, 0]) <= set(np.arange(10.0, 11.75, 0.25))
    continuous = model.sample(4000, seed=1, round=False).numpy()
    assert continuous[:, 0].min() > 10.0
    assert continuous[:, 0].max() < 11.5
    np.testing.assert_array_equal(continuous[:, 1], samples[:, 1])
    assert np.abs(continuous[:, 0] - samples[:, 0]).max() <= 0.125 + 1e-6
    assert len(np.unique(model.sample_and_log_prob(100, seed=1)[0][:, 0])) > 50
    log_prob = model.log_prob([[9.9, 0.0], [11.6, 0.0], [10.0, 0.0], [11.5, 0.0]]).numpy()
    assert (log_prob[:2] == -np.inf).all()
    assert np.isfinite(log_prob[2:]).all()
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.sample(100, seed=2), model.sample(100, seed=2))
    served = nvp.serving.load(nvp.export(model, tmp_path / "m", verify=False))
    assert set(served.sample(500, seed=1)[:, 0]) <= set(np.arange(10.0, 11.75, 0.25))
    card = nvp.serving.read_card(served.folder)
    assert Schema.from_config(card["schema"]) == model.schema
    readme = (served.folder / "assets.extra" / "README.md").read_text()
    assert "| bounds by column | 0 [10, 11.5] |" in readme
    assert "| grid step by column | 0 0.25." in readme


def test_noise_fills_the_cell_within_the_bounds_and_only_once(rng):
    schema = Schema(low=(0.0, None), high=(None, None), step=(1.0, 0.1), origin=(0.0, 0.05), edge_low=(0.0, 0.0))
    x = np.stack([rng.integers(0, 3, 4000), 0.05 + 0.1 * rng.integers(-500, 500, 4000)], 1).astype(np.float32)
    noisy = schema.with_noise(x, [1, 2]).numpy()
    np.testing.assert_allclose(schema.round(noisy), x, atol=1e-5)
    np.testing.assert_allclose(schema.with_noise(noisy, [1, 2]), noisy, atol=1e-5)
    noise = (noisy - x)[x[:, 0] > 0] / [1.0, 0.1]
    assert noise.min() == pytest.approx(-0.5, abs=0.01)
    assert noise.max() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(noise.std(axis=0), 12**-0.5, rtol=0.05)
    of_zeros = noisy[x[:, 0] == 0, 0]
    assert of_zeros.min() >= 0.0
    assert of_zeros.mean() == pytest.approx(0.25, abs=0.02)
    assert not np.array_equal(schema.with_noise(x, [1, 3]), noisy)


def nll_of(model, rows, draws=64):
    """NLL of rows with the schema's noise."""
    noisy = (model.schema.with_noise(rows.astype(np.float32), [i, 99]) for i in range(draws))
    return -float(np.mean([model.log_prob(x) for x in noisy]))


def test_the_nll_of_a_grid_column_is_that_of_the_row_with_noise(rng):
    x = np.stack([rng.poisson(3.0, 1000), rng.normal(size=1000)], axis=1)
    with pytest.warns(UserWarning, match="dequantized"):
        model = quick(x[:800], epochs=4)
    nll = model.evaluate(x[800:], verbose=0, return_dict=True)["nll"]
    assert nll == model.evaluate(x[800:], verbose=0, return_dict=True)["nll"]
    assert nll == pytest.approx(nll_of(model, x[800:]), abs=0.05)
    held_out = np.random.default_rng(0).permutation(800)[:160]
    assert min(model.history.history["val_nll"]) == pytest.approx(nll_of(model, x[held_out]), abs=0.05)
    noisy = model.schema.with_noise(x[800:].astype(np.float32), [5, 5])
    assert model.evaluate(noisy, verbose=0, return_dict=True)["nll"] == pytest.approx(nll, abs=1e-4)
    np.testing.assert_allclose(model.predict(x[:5], verbose=0), model.log_prob(x[:5]), rtol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fitting_on_keeps_the_noise(jit_compile, rng):
    """Without it, the density of integers grows on them without bound."""
    schema = Schema(low=(None,), high=(None,), step=(1.0,), origin=(0.0,), edge_low=(0.0,), edge_high=(0.0,))
    condition = rng.normal(size=(256, 1)).astype(np.float32)
    model = nvp.FlowModel(nvp.MAF([1], condition_shape=[1], num_layers=1, hidden_units=[8], seed=0), schema=schema)
    model.compile(keras.optimizers.Adam(0.1), jit_compile=jit_compile)
    x = np.zeros((256, 1), np.float32)
    model.fit(condition, x, epochs=30, batch_size=128, verbose=0)
    inside = tf.reshape(tf.linspace(-0.45, 0.45, 19), [-1, 1])
    log_prob = model.log_prob(inside, condition=np.zeros([19, 1], np.float32))
    assert np.abs(log_prob).max() < 1.5  # a box of height 1 at best, a Gaussian of its variance within 0.8
    nll = model.evaluate(condition, x, verbose=0, return_dict=True)["nll"]
    assert nll == pytest.approx(0.5 * np.log(2 * np.pi * np.e / 12), abs=0.1)


def test_a_flow_with_bounds_of_its_own_is_not_standardized(rng):
    x = rng.normal(size=(50, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    with pytest.raises(ValueError, match="`flow` must reach all real numbers"):
        nvp.fit(x, flow=lambda **arguments: nvp.SphericalSplineFlow([3], num_layers=1, hidden_units=[4]), epochs=1)


@pytest.mark.parametrize(
    "support",
    [
        (0.0, None),
        pytest.param((0.0, 9.0), marks=pytest.mark.exhaustive),
        pytest.param((0.0, 1e6), marks=pytest.mark.exhaustive),
        (None, 9.0),
    ],
)
def test_a_grid_value_on_its_bound_is_neither_a_tail_nor_an_atom(support, rng):
    """Its cell is cut at the bound; its density is that of the cell, in which a uniform one would be log(2 P)."""
    x = np.minimum(rng.poisson(2.0, size=(2000, 1)), 9).astype(float)
    if support[0] is None:
        x = 9.0 - x
    with pytest.warns(UserWarning, match="hold values on a grid"):
        model = nvp.fit(x, support=support, flow=small, epochs=30, seed=0, verbose=0)
    assert not any(type(layer).__name__ == "Sinh" for layer in model.distribution.bijector.parts())
    bound = support[0] if support[0] is not None else support[1]
    at_bound = float(model.log_prob([[bound]])[0])
    assert abs(at_bound - np.log(2.0 * np.mean(x == bound))) < 2.5
    samples = model.sample(20_000, seed=1).numpy()
    assert np.abs(samples - x.mean()).max() < 100.0


def test_pairs_in_a_list_are_no_support(rng):
    with pytest.raises(TypeError, match=r"dict of pairs by column such as \{0: \(low, high\)\}; got the list"):
        quick(rng.uniform(size=(50, 2)), support=[(0.0, 1.0), (0.0, 1.0)])
