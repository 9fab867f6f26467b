"""The counter-based generator: the published answers, and the distributions of what comes out."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.rounding import IN_ANOTHER_BATCH
from tfp_nvp.serving._exporting.threefry import normals, threefry, uniforms

ROWS = 4000


def seeds(n, first=0):
    return tf.stack([tf.fill([n], first), tf.range(n)], axis=-1)


def kolmogorov_smirnov(values, cdf):
    """√n times the largest distance of the empirical distribution function from `cdf`."""
    values = np.sort(values.ravel())
    steps = np.arange(len(values) + 1) / len(values)
    expected = cdf(values)
    return math.sqrt(len(values)) * max(np.max(steps[1:] - expected), np.max(expected - steps[:-1]))


# Random123's kat_vectors, threefry2x32 with 20 rounds.
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_published_answers(counter, key, answer):
    words = threefry(*([tf.constant(word, tf.uint32) for word in pair] for pair in (key, counter)))
    assert tuple(int(word) for word in words) == answer


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_uniforms_are_uniform(dtype):
    values = uniforms(seeds(ROWS), 5, dtype).numpy()
    assert values.dtype == dtype.as_numpy_dtype
    assert values.min() > 0.0
    assert values.max() < 1.0
    assert kolmogorov_smirnov(values, lambda u: u) < 1.95  # a chance of 1 in 1,000, and the seeds are fixed


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_normals_are_normal(dtype):
    values = normals(seeds(ROWS), 5, dtype).numpy().astype(np.float64)
    assert kolmogorov_smirnov(values, lambda z: 0.5 * (1.0 + np.vectorize(math.erf)(z / math.sqrt(2.0)))) < 1.95
    moments = [np.mean(values**power) for power in (1, 2, 3, 4)]
    # Five standard errors of the fourth moment of the draws.
    np.testing.assert_allclose(moments, [0.0, 1.0, 0.0, 3.0], atol=0.15)


def test_neighbours_are_independent():
    one, other = (normals(seeds(ROWS, first), 6, tf.float32).numpy() for first in (0, 1))
    columns = np.corrcoef(np.concatenate([one, other], axis=-1), rowvar=False)
    shifted = [np.corrcoef(one[1:, i], one[:-1, i])[0, 1] for i in range(6)]
    off_diagonal = np.abs(np.concatenate([columns[~np.eye(12, dtype=bool)], shifted]))
    assert off_diagonal.max() < 4.5 / math.sqrt(ROWS)
    squares = np.corrcoef(one**2, rowvar=False)[~np.eye(6, dtype=bool)]  # cosine and sine share a radius
    assert np.abs(squares).max() < 4.5 / math.sqrt(ROWS)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_a_row_is_a_function_of_its_seed(dtype):
    seed = seeds(50)
    together = normals(seed, 3, dtype).numpy()
    order = np.random.default_rng(0).permutation(50)
    # Equal bits of the generator; the logarithm of a vector may be rounded as another one is: some roundings.
    np.testing.assert_allclose(normals(tf.gather(seed, order), 3, dtype).numpy(), together[order], **IN_ANOTHER_BATCH)
    np.testing.assert_allclose(normals(seed[7:8], 3, dtype).numpy(), together[7:8], **IN_ANOTHER_BATCH)


def test_no_rows():
    assert normals(seeds(0), 3, tf.float32).shape == (0, 3)


def test_extremes_of_the_words_stay_inside(monkeypatch):
    for word in (0, 0xFFFFFFFF):
        words = tf.constant([[word, word]], tf.uint32)
        monkeypatch.setattr(
            "tfp_nvp.serving._exporting.threefry.threefry", lambda key, counter, words=words: (words, words)
        )
        for dtype in (tf.float32, tf.float64):
            values = uniforms(seeds(1), 2, dtype).numpy()
            assert (values > 0.0).all()
            assert (values < 1.0).all()
            assert np.isfinite(normals(seeds(1), 2, dtype).numpy()).all()
