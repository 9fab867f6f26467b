"""Posteriors of a linear simulator, θ ~ N(0, I), x ~ N(θ, ½²), from simulations."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp.inference import NLE, tsnpe
from tfp_nvp.inference._target import as_target
from tfp_nvp.inference.simulators import truncated, without_failed

tfd = tfp.distributions
PRIOR = tfd.Sample(tfd.Normal(0.0, 1.0), 2)


def simulate(theta: np.ndarray, seed: int = 0) -> np.ndarray:
    return theta + 0.5 * np.random.default_rng(seed).normal(size=theta.shape)


def linear(event_shape, condition_shape=None, **options):
    """`nvp.fit` finds the regression and the scale of the residuals itself; no layers are needed."""
    return nvp.RealNVP(event_shape, num_layers=2, hidden_units=[8], condition_shape=condition_shape, **options)


@pytest.fixture(scope="module")
def likelihood() -> NLE:
    theta = np.random.default_rng(1).normal(size=[2000, 2])
    x = simulate(theta)
    x[:7] = np.nan
    with pytest.warns(UserWarning, match="7 of 2000 simulations failed"):
        return NLE(PRIOR, theta, x, flow=linear, epochs=3, seed=0, verbose=0)


def test_independent_observations_are_summed(likelihood):
    """The posterior of m observations of mean x̄ is N(4 m x̄ / (1 + 4 m), 1 / (1 + 4 m))."""
    observed = np.array([[1.0, -0.5], [0.6, 0.1], [0.8, -0.2]])
    for rows in (observed, observed[0]):
        count, mean = np.atleast_2d(rows).shape[0], np.atleast_2d(rows).mean(axis=0)
        exact = tfd.MultivariateNormalDiag(4.0 * count * mean / (1.0 + 4.0 * count), [(1.0 + 4.0 * count) ** -0.5] * 2)
        points = exact.sample(50, seed=tf.constant([0, 1]))
        target = as_target(likelihood.posterior(rows.tolist()))
        gaps = target.log_prob(tf.cast(points, target.dtype)) - tf.cast(exact.log_prob(points), target.dtype)
        assert np.std(gaps) < 0.15


def test_truncation_keeps_the_region_of_highest_density(likelihood):
    """The draws of the prior in it are in its shape; those outside have a lower density."""
    rng = np.random.default_rng(2)
    theta = rng.normal(size=[2000, 2])
    model = nvp.fit(theta, condition=simulate(theta, 3), flow=linear, epochs=3, seed=0, verbose=0)
    observed = np.array([1.0, 1.0])
    kept = truncated(PRIOR, model, observed, 300, 0.05, 0)
    # The posterior is N(0.8, 0.2 I), and its region of mass 0.95 a disc of radius √(0.2 · 5.99) = 1.09.
    distance = np.linalg.norm(kept - 0.8, axis=1)
    assert kept.shape == (300, 2)
    assert distance.max() == pytest.approx(1.09, abs=0.2)


@pytest.mark.exhaustive
def test_rounds_come_to_the_posterior():
    calls = []

    def simulator(theta):
        calls.append(theta)
        return simulate(theta, len(calls))

    model = tsnpe(PRIOR, simulator, [1.5, 1.5], num_simulations=500, num_rounds=2, flow=linear, epochs=10, verbose=0)
    assert np.linalg.norm(calls[1] - 1.2, axis=1).max() < np.linalg.norm(calls[0] - 1.2, axis=1).max()
    samples = model.sample(2000, condition=[1.5, 1.5], seed=0).numpy()
    assert samples.mean(axis=0) == pytest.approx([1.2, 1.2], abs=0.1)
    assert samples.std(axis=0) == pytest.approx([0.2**0.5] * 2, rel=0.15)


class TestBadInput:
    def test_too_many_failures(self):
        with pytest.raises(ValueError, match="29 of 30 simulations failed"):
            without_failed(np.zeros([30, 2]), np.where(np.arange(30)[:, None] == 0, 0.0, np.nan) * np.ones([30, 2]))

    def test_shapes(self, likelihood):
        with pytest.raises(ValueError, match=r"`theta` and `x` must be \[n, d\] and \[n, k\]"):
            without_failed(np.zeros([30, 2]), np.zeros([31, 2]))
        with pytest.raises(ValueError, match=r"`observed` must be \[2\] or \[m, 2\]"):
            likelihood.posterior([1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match="`simulator` must give a row for each of 30 parameters"):
            tsnpe(PRIOR, lambda theta: theta[:5], [0.0, 0.0], num_simulations=30)

    def test_no_prior(self):
        with pytest.raises(TypeError, match="`prior` must be a Distribution"):
            tsnpe(None, simulate, [0.0, 0.0])
