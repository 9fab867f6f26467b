"""Pareto-smoothed weights, and expectations by them, against what is known."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from tfp_nvp.inference import importance_sample
from tfp_nvp.inference._psis import fit_generalized_pareto, pareto_smoothed

tfd = tfp.distributions


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_the_shape_of_a_pareto_tail(shape, rng):
    excess = np.sort(stats.genpareto(shape, scale=3.0).rvs(4000, random_state=rng))
    k, sigma = fit_generalized_pareto(excess)
    assert k == pytest.approx(shape, abs=0.06)
    assert sigma == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize("power", [0.3, 0.8])
def test_k_hat_is_the_shape_of_the_weights(power, rng):
    """u^(−k) of uniform u has a Pareto tail of shape k."""
    _, k = pareto_smoothed(-power * np.log(rng.uniform(size=20_000)))
    assert k == pytest.approx(power, abs=0.1)


def test_smoothed_weights_sum_to_one_and_keep_their_order(rng):
    log_weights = 2.0 * rng.normal(size=1000)
    smoothed, _ = pareto_smoothed(log_weights)
    assert np.exp(smoothed).sum() == pytest.approx(1.0)
    assert (np.argsort(smoothed) == np.argsort(log_weights)).all()


def test_equal_weights_have_no_tail():
    smoothed, k = pareto_smoothed(np.zeros(100))
    np.testing.assert_allclose(np.exp(smoothed), 0.01)
    assert k < 0.0


def test_few_weights_have_no_k():
    assert math.isnan(pareto_smoothed(np.zeros(10))[1])


def test_weights_of_zero_stay_zero(rng):
    log_weights = np.where(np.arange(1000) < 950, -np.inf, rng.normal(size=1000))
    smoothed, _ = pareto_smoothed(log_weights)
    assert (smoothed[:950] == -np.inf).all()
    assert np.exp(smoothed).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_expectations_are_those_of_the_target(dtype):
    target = tfd.MultivariateNormalDiag(np.asarray([1.0, -1.0], dtype), np.asarray([1.0, 2.0], dtype))
    surrogate = tfd.MultivariateNormalDiag(np.zeros(2, dtype), np.full(2, 2.5, dtype))
    sample = importance_sample(surrogate, lambda x: target.log_prob(x) + 3.0, 20_000, seed=1)
    assert sample.is_reliable
    assert 0.1 < sample.ess / 20_000 < 0.9
    mean, error = sample.expectation()
    assert (np.abs(mean - [1.0, -1.0]) < 4.0 * error).all()
    second, error = sample.expectation(lambda x: {"square": (x - target.mean()) ** 2})
    assert (np.abs(second["square"] - [1.0, 4.0]) < 4.0 * error["square"]).all()
    assert abs(sample.log_evidence - 3.0) < 4.0 * sample.log_evidence_error
    assert sample.resample(10_000).numpy().std(axis=0) == pytest.approx([1.0, 2.0], rel=0.1)
    assert sample.events.dtype == tf.as_dtype(dtype)


def test_a_narrow_surrogate_is_not_reliable():
    target, narrow = tfd.MultivariateNormalDiag(np.zeros(5)), tfd.MultivariateNormalDiag(np.zeros(5), np.full(5, 0.4))
    assert not importance_sample(narrow, target, 4000).is_reliable


class TestBadInput:
    normal = tfd.MultivariateNormalDiag([0.0, 0.0])

    def test_weights_of_zero(self):
        with pytest.raises(ValueError, match="All 1000 importance weights are zero"):
            importance_sample(self.normal, lambda x: tf.fill(tf.shape(x)[:-1], -math.inf), 1000)

    def test_nan(self):
        with pytest.raises(ValueError, match="NaN or \\+inf at"):
            importance_sample(self.normal, lambda x: tf.math.log(x[..., 0]), 1000)

    def test_a_wrong_shape(self):
        with pytest.raises(ValueError, match=r"\[7\] for 7 events; its shape is \(7, 2\)"):
            importance_sample(self.normal, lambda x: -(x**2), 1000)

    def test_no_target(self):
        with pytest.raises(TypeError, match="`target` must be a pinned joint distribution"):
            importance_sample(self.normal, 3.0, 1000)

    def test_no_surrogate(self):
        with pytest.raises(TypeError, match="surrogate must be a flow over vectors"):
            importance_sample(None, self.normal, 1000)
