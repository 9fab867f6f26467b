"""Conditionals on a line and a circle are densities: they integrate to one, and masses, quantiles and draws agree."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.any_order.circle import CircleSpline
from tfp_nvp.any_order.logistics import Logistics

LINE, CIRCLE = Logistics(5), CircleSpline(6)


def raw_of(density, rng, size: int, seed_scale: float = 1.0) -> tf.Tensor:
    raw = rng.normal(0, seed_scale, [density.num_parameters, 1]).astype(np.float32)
    return tf.constant(np.repeat(raw, size, axis=1))


@pytest.mark.parametrize(("density", "low", "high"), [(LINE, -80.0, 80.0), (CIRCLE, -np.pi, np.pi)])
def test_a_density_integrates_to_one_and_its_integral_is_the_cdf(density, low, high, rng):
    points = np.linspace(low, high, 40_001)[:-1].astype(np.float32)
    p = np.exp(density.log_prob(points, raw_of(density, rng, len(points))))
    step = (high - low) / 40_000
    assert p.sum() * step == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose((np.cumsum(p) - p / 2) * step, density.cdf(points, raw_of_same(density, p)), atol=2e-3)


def raw_of_same(density, like) -> tf.Tensor:
    """The raw numbers of the fixture's first draw."""
    return raw_of(density, np.random.default_rng(20250117), len(like))


@pytest.mark.parametrize("density", [LINE, CIRCLE])
def test_quantiles_invert_the_cdf(density, rng):
    levels = np.linspace(0.001, 0.999, 99).astype(np.float32)
    raw = raw_of(density, rng, len(levels))
    np.testing.assert_allclose(density.cdf(density.quantile(levels, raw), raw), levels, atol=2e-5)


@pytest.mark.parametrize("density", [LINE, CIRCLE])
def test_draws_have_the_cdf(density, rng):
    raw = raw_of(density, rng, 20_000)
    u = np.sort(density.cdf(density.sample(raw, tf.constant([1, 2])), raw).numpy())
    np.testing.assert_allclose(u, (np.arange(20_000) + 0.5) / 20_000, atol=0.0153)  # Kolmogorov, 1.5e-4 beyond


@pytest.mark.parametrize("width", [1e-6, 1e-3, 0.1, 3.0])
def test_masses_are_differences_of_the_cdf(width, rng):
    raw = raw_of(LINE, rng, 1)
    low = tf.constant([0.3])
    mass = float(LINE.log_mass(low, low + width, tf.constant([width]), raw)[0])
    raw, low = (np.asarray(value, np.float64) for value in (raw, low))  # in float64, the difference is exact enough
    expected = np.log(
        np.diff([float(LINE.cdf(tf.constant(end), tf.constant(raw))[0]) for end in (low, low + width)])[0]
    )
    assert mass == pytest.approx(expected, abs=2e-5 if width > 1e-4 else 1e-3)


def test_gradients_of_far_values_are_finite(rng):
    raw = tf.Variable(raw_of(LINE, rng, 4, 30.0))
    value = tf.constant([0.0, 1e6, -1e6, 50.0])
    with tf.GradientTape() as tape:
        log_p = LINE.log_prob(value, raw) + LINE.log_mass(value, value + 1e-3, tf.fill([4], 1e-3), raw)
    assert np.isfinite(log_p).all()
    assert np.isfinite(tape.gradient(log_p, raw)).all()


@pytest.mark.parametrize("density", [LINE, CIRCLE])
def test_nodes_have_the_mean(density, rng):
    raw = raw_of(density, rng, 1, 0.5)
    points, weights = density.nodes(raw, 400)
    draws = density.sample(tf.repeat(raw, 200_000, axis=1), tf.constant([3, 4])).numpy()
    assert float(tf.reduce_sum(weights)) == pytest.approx(1.0, abs=1e-5)
    assert float(tf.reduce_sum(weights * points)) == pytest.approx(draws.mean(), abs=5 * draws.std() / 200_000**0.5)
