"""A seed per row: for every base, samples have the right law and depend on their own seed only."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.serving.rounding import IN_ANOTHER_BATCH
from tfp_nvp.serving._exporting import row_random

tfb, tfd = tfp.bijectors, tfp.distributions

AT_ONCE = {
    "normal": lambda: tfd.Normal(2.0, 3.0),
    "independent normal": lambda: tfd.Independent(tfd.Normal([1.0, -1.0], [2.0, 0.5]), 1),
    "sample of normal": lambda: tfd.Sample(tfd.Normal(tf.Variable(2.0), 0.5), [3, 2]),
    "sample of independent": lambda: tfd.Sample(tfd.Independent(tfd.Normal([1.0, 2.0], 1.0), 1), [3]),
    "diagonal": lambda: tfd.MultivariateNormalDiag([1.0, 5.0], [2.0, 0.5]),
    "sample of uniform": lambda: tfd.Sample(tfd.Uniform(np.float64(-1.0), np.float64(3.0)), [2]),
    "independent logistic": lambda: tfd.Independent(tfd.Logistic([1.0, -1.0], [2.0, 0.5]), 1),
    "sample of laplace": lambda: tfd.Sample(tfd.Laplace(1.0, 2.0), [2]),
    "transformed": lambda: tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [2]), tfb.Shift([1.0, 2.0])),
}
ROW_BY_ROW = {
    "mixture": lambda: tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.3, 0.7]), tfd.MultivariateNormalDiag([[-2.0, 0.0], [2.0, 1.0]], [[1.0, 1.0]])
    ),
    "poisson": lambda: tfd.Poisson(4.0),
    "independent of sample": lambda: tfd.Independent(tfd.Sample(tfd.Normal([0.0, 9.0], 1.0), [2]), 1),
    "truncated": lambda: tfd.Sample(tfd.TruncatedNormal(1.0, 1.0, 0.0, 4.0), [2]),
}


def seeds(n):
    return tf.stack([tf.fill([n], 3), tf.range(n)], axis=-1)


@pytest.mark.parametrize("name", [*AT_ONCE, *ROW_BY_ROW])
def test_moments_and_rows(name):
    distribution = (AT_ONCE | ROW_BY_ROW)[name]()
    draw = tf.function(lambda seed: row_random.sample_rows(distribution, seed), autograph=False)
    n = 5000 if name in AT_ONCE else 1000
    seed = seeds(n)
    x = draw(seed).numpy()
    assert x.shape == (n, *distribution.event_shape)
    assert x.dtype == distribution.dtype.as_numpy_dtype
    target = distribution if name != "transformed" else tfd.Sample(tfd.Normal([1.0, 2.0], 1.0))
    mean, stddev = target.mean().numpy(), target.stddev().numpy()
    np.testing.assert_array_less(np.abs(x.mean(axis=0) - mean), 5.0 * stddev / np.sqrt(n))
    # The deviation of a few hundred draws has a standard error of 4 %.
    np.testing.assert_allclose(x.std(axis=0), np.broadcast_to(stddev, x.shape[1:]), rtol=0.2)
    # Equal seeds give equal bits; the maps of fewer rows may be summed in another order: tens of roundings.
    np.testing.assert_allclose(draw(tf.gather(seed, [5, 2, 5])).numpy(), x[[5, 2, 5]], **IN_ANOTHER_BATCH)
    assert draw(seed[:0]).shape == (0, *distribution.event_shape)


@pytest.mark.parametrize("name", AT_ONCE)
def test_common_bases_take_no_loop(name, monkeypatch):
    monkeypatch.setattr(row_random, "_row_by_row", None)
    row_random.sample_rows(AT_ONCE[name](), seeds(2))


def test_seeds_of_a_mixture_differ():
    x = row_random.sample_rows(ROW_BY_ROW["mixture"](), seeds(20)).numpy()
    assert len(np.unique(x[:, 0])) == 20
