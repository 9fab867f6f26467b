"""The standard normal against TFP's, and its samples in every mode of execution."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.distributions import StandardNormal

tfd = tfp.distributions


@pytest.mark.parametrize("shape", [[], [3], [2, 2, 3]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_tfps_standard_normal(shape, dtype, rng):
    zeros = tf.zeros(shape, dtype)
    ours, theirs = (
        StandardNormal(shape, dtype=dtype),
        tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), len(shape)),
    )
    z = rng.normal(size=[4, 5, *shape]).astype(dtype)
    np.testing.assert_allclose(ours.log_prob(z), theirs.log_prob(z), rtol=1e-5)
    for name in ("mean", "mode", "stddev", "variance", "entropy"):
        np.testing.assert_allclose(getattr(ours, name)(), getattr(theirs, name)(), rtol=1e-6)
    assert ours.event_shape == theirs.event_shape
    assert ours.batch_shape == theirs.batch_shape == []
    assert ours.event_shape_tensor().numpy().tolist() == shape
    assert ours.dtype == theirs.dtype


def test_covariance_is_the_identity():
    np.testing.assert_array_equal(StandardNormal([3]).covariance(), np.eye(3))


@pytest.mark.parametrize("compiled", [False, True])
def test_samples_have_the_moments_and_follow_the_seed(compiled):
    base = StandardNormal([2])
    sample = tf.function(lambda seed: base.sample(50_000, seed=seed), jit_compile=compiled)
    first, again, other = (sample(tf.constant(seed)).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert np.abs(np.corrcoef(first[:, 0], other[:, 0])[0, 1]) < 0.02
    np.testing.assert_allclose(first.mean(axis=0), 0.0, atol=0.02)
    np.testing.assert_allclose(np.cov(first.T), np.eye(2), atol=0.03)
    assert np.isclose((first**4).mean(), 3.0, atol=0.15)


def test_any_sample_shape_and_seed():
    base = StandardNormal([2])
    assert base.sample().shape == [2]
    assert base.sample([3, 4], seed=1).shape == [3, 4, 2]
    assert base.copy().sample(0).shape == [0, 2]


def test_events_of_another_shape_are_refused():
    for value in (tf.zeros([5, 3]), tf.ones([5, 1]), 0.0):
        with pytest.raises(ValueError, match=r"`value` must end in the event shape \[2\]"):
            StandardNormal([2]).log_prob(value)
    with pytest.raises(ValueError, match="`dtype` must be float32 or float64"):
        StandardNormal([2], dtype="int32")


def test_divergence_of_two_is_none():
    assert tfd.kl_divergence(StandardNormal([2]), StandardNormal([2])).numpy() == 0.0
