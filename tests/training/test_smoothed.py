"""A flow drawn to a smoothed density has that density, also where the rows are that it has not seen."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import logsumexp

import tfp_nvp as nvp
from tfp_nvp.training._anomalies.smoothed import fit_smoothed, kernel_log_prob, smoothed_batches

tfd = tfp.distributions


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("noise", [0.3, 2.0])
def test_the_smoothed_density_is_a_mixture_of_normals(dtype, tolerance, noise, rng):
    rows, x = rng.normal(size=[7, 3]), 2.0 * rng.normal(size=[5, 3])
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.zeros(7, tf.float64)), tfd.MultivariateNormalDiag(rows, np.full(3, noise))
    )
    found = kernel_log_prob(tf.constant(x, dtype), tf.constant(rows, dtype), noise)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, mixture.log_prob(x), rtol=tolerance)


def test_rows_far_out_and_a_narrow_kernel(rng):
    rows = rng.normal(size=[50, 6]).astype("float32")
    rows[7] = 60.0
    x = rows[5:9] + np.float32(0.01) * rng.normal(size=[4, 6]).astype("float32")
    exact = kernel_log_prob(tf.constant(x, tf.float64), tf.constant(rows, tf.float64), 0.01)
    np.testing.assert_allclose(kernel_log_prob(tf.constant(x), tf.constant(rows), 0.01), exact, atol=1e-3)


class TestBatches:
    def test_every_part_has_its_place(self):
        parts = [tf.fill([5, 2], -100.0), tf.fill([9, 2], 100.0)]
        (x,) = next(iter(smoothed_batches(parts, 1.0, 30, seed=0)))
        assert x.shape == [32, 2]  # a multiple of four
        assert np.all(x[:16] < 0.0)
        assert np.all(x[16:] > 0.0)

    def test_half_of_them_are_draws_of_the_smoothed_density(self):
        parts, n = [tf.zeros([3, 4]), tf.zeros([3, 4])], 40_000
        (x,) = next(iter(smoothed_batches(parts, 2.0, n, seed=0)))
        draws, nearer = np.split(x.numpy().reshape(2, 2, n // 4, 4), 2, axis=1)
        assert draws.std() == pytest.approx(2.0, rel=0.01)
        assert nearer.std() == pytest.approx(2.0 / math.sqrt(3.0), rel=0.02)  # E u² = 1/3
        assert abs(draws.mean()) < 0.03
        np.testing.assert_allclose(np.linalg.norm(nearer, axis=-1) / np.linalg.norm(draws, axis=-1), 0.5, atol=0.5)

    def test_all_rows_come_up_and_the_seed_decides_which(self):
        parts = [tf.range(0.0, 8.0)[:, tf.newaxis], tf.range(8.0, 20.0)[:, tf.newaxis]]
        first, again, other = ([x.numpy() for (x,) in smoothed_batches(parts, 1e-3, 64, s).take(8)] for s in (1, 1, 2))
        assert set(np.round(np.concatenate(first)).ravel()) == set(range(20))
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
        assert not np.array_equal(first[0], first[1])


@pytest.mark.exhaustive
def test_the_fit_has_the_density_of_rows_it_has_not_seen(rng):
    """Three clusters of deviations below the kernel's: the smoothed density is known in closed form."""
    centres, noise = np.array([[-4.0, 0.0], [4.0, 0.0], [0.0, 5.0]]), 1.0
    rows, new = (centres[rng.integers(3, size=n)] + 0.3 * rng.normal(size=[n, 2]) for n in (4000, 500))
    flow = nvp.NeuralSplineFlow([2], num_layers=4, hidden_units=64, seed=0)
    fit_smoothed(flow, tf.constant(rows, tf.float32), noise, steps=600, seed=0, callbacks=[])
    variance = noise**2 + 0.3**2
    squares = ((new[:, np.newaxis] - centres) ** 2).sum(-1)
    exact = logsumexp(-squares / (2.0 * variance), axis=1) - math.log(3.0 * 2.0 * math.pi * variance)
    error = flow.log_prob(new.astype(np.float32)).numpy() - exact
    assert np.abs(error).mean() < 0.1, np.abs(error).mean()


def test_the_density_near_a_row_does_not_count_the_row_itself(rng):
    """In many dimensions every row is a peak of its own of the smoothed density: it is not learnt by heart."""
    rows, new = rng.normal(size=[200, 30]), rng.normal(size=[200, 30])
    flow = nvp.RealNVP([30], num_layers=2, hidden_units=[64], seed=0)
    fit_smoothed(flow, tf.constant(rows, tf.float32), 1.0, steps=400, seed=0, callbacks=[])
    known, unknown = (flow.log_prob(x.astype(np.float32)).numpy().mean() for x in (rows, new))
    peak = math.log(199.0)  # at least so much would the smoothed density of all rows be above that of the others
    assert abs(known - unknown) < 0.5 * peak
