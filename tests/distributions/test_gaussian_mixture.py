"""Gaussian mixtures: TFP's own is the standard."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.distributions import GaussianMixture
from tfp_nvp.distributions.gaussian_mixture import BLOCK

tfd = tfp.distributions


def mixture(count, shared, dtype="float64", d=3):
    """A mixture with random components, and TFP's with the same."""
    rng = np.random.default_rng(count)
    log_weights, means = rng.normal(size=count), 2.0 * rng.normal(size=[count, d])
    scale = np.tril(rng.normal(size=[1 if shared else count, d, d]), -1) + np.exp(0.3 * rng.normal(size=d)) * np.eye(d)
    ours = GaussianMixture([d], num_components=count, shared_scale=shared, dtype=dtype)
    ours.assign(log_weights, means, scale)
    cast = [tf.constant(value, dtype) for value in (log_weights, means, scale)]
    theirs = tfd.MixtureSameFamily(
        tfd.Categorical(logits=cast[0]), tfd.MultivariateNormalTriL(cast[1], cast[2]), reparameterize=False
    )
    return ours, theirs


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("count", [1, 5, BLOCK, BLOCK + 1, 3 * BLOCK - 7])
def test_log_prob_and_its_gradient_are_those_of_tfp(count, shared, rng):
    ours, theirs = mixture(count, shared)
    x = tf.constant(3.0 * rng.normal(size=[4, 5, 3]))
    for jit_compile in (None, True):
        found = tf.function(lambda x: tfp.math.value_and_gradient(ours.log_prob, x), jit_compile=jit_compile)(x)
        for value, expected in zip(found, tfp.math.value_and_gradient(theirs.log_prob, x), strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-10)


def test_far_from_all_components_it_is_finite():
    ours, _ = mixture(BLOCK + 1, True, "float32")
    log_prob = ours.log_prob([[1e4, 0.0, 0.0], [0.0, 0.0, -1e6]])
    assert np.isfinite(log_prob).all()


@pytest.mark.parametrize("shared", [False, True])
def test_samples_have_the_moments_of_the_mixture(shared):
    ours, theirs = mixture(4, shared)
    x = ours.sample(200_000, seed=1).numpy()
    sd = np.sqrt(np.diagonal(theirs.covariance()))
    # Five standard errors; those of covariances are below 3 sd² / √n for these tails.
    np.testing.assert_allclose(x.mean(axis=0), theirs.mean(), atol=5 * sd.max() / np.sqrt(len(x)))
    np.testing.assert_allclose(np.cov(x.T), theirs.covariance(), atol=15 * sd.max() ** 2 / np.sqrt(len(x)))


def test_gradients_train_all_its_weights():
    ours, _ = mixture(3, False)
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(ours.log_prob(tf.constant(np.random.default_rng(0).normal(size=[20, 3]))))
    assert all(np.abs(gradient).max() > 0 for gradient in tape.gradient(loss, ours.trainable_variables))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_shape": [2, 2], "num_components": 2}, "`event_shape` must be that of vectors"),
        ({"event_shape": [2], "num_components": 0}, "`num_components` must be at least 1; got 0"),
        ({"event_shape": [2], "num_components": 2, "dtype": "int32"}, "`dtype` must be float32 or float64"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(**arguments)
    with pytest.raises(ValueError, match="positive numbers on its diagonals"):
        GaussianMixture([1], num_components=1).assign([0.0], [[0.0]], [[[-1.0]]])
