"""Quantile: the histogram, the logistic scale, precision where levels are rare."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors import Logit, Quantile
from tfp_nvp.distributions import Flow


def mostly_black(rng, shape):
    """Four fifths below 1/256, the rest anywhere."""
    x = rng.uniform(size=shape)
    return np.where(rng.uniform(size=shape) < 0.8, x / 256.0, x).astype(np.float32)


def test_before_data_it_is_a_logit(rng):
    x = rng.uniform(0.01, 0.99, size=(5, 2)).astype(np.float32)
    layer = Quantile([2])
    assert not layer.is_initialized
    for ours, right in zip(layer.inverse_and_log_det(x), Logit(0.0).inverse_and_log_det(x, event_ndims=1), strict=True):
        np.testing.assert_allclose(ours, right, rtol=1e-4, atol=1e-4)


def test_it_makes_the_data_logistic(rng):
    layer = Quantile([4, 4, 2], smoothing=1e-3)
    x = np.stack([mostly_black(rng, (4000, 4, 4)), rng.beta(2.0, 5.0, (4000, 4, 4))], axis=-1).astype(np.float32)
    layer.initialize(x)
    assert layer.is_initialized
    uniform = tf.sigmoid(layer.inverse(x)).numpy()
    for channel in range(2):
        found = np.quantile(uniform[..., channel], np.linspace(0.1, 0.9, 9))
        np.testing.assert_allclose(found, np.linspace(0.1, 0.9, 9), atol=0.01)


def test_probabilities_are_the_histogram_of_each_channel_smoothed():
    layer = Quantile([2], num_bins=4, smoothing=0.2)
    layer.initialize(tf.constant([[0.1, 0.9], [0.2, 0.9], [0.3, 1.0], [0.0, 0.5]]))
    right = 0.8 * np.array([[0.75, 0.25, 0.0, 0.0], [0.0, 0.0, 0.25, 0.75]]) + 0.2 / 4
    np.testing.assert_allclose(layer.probabilities, right, rtol=1e-6)


def test_it_inverts_within_a_thousandth_of_a_level_where_levels_are_rare(rng):
    layer = Quantile([1])
    layer.initialize(np.full((100, 1), 0.5 / 256.0, np.float32))  # all black: the other levels have the least there is
    x = ((np.arange(256)[:, None] + rng.uniform(0.01, 0.99, size=(256, 20))) / 256.0).astype(np.float32).reshape(-1, 1)
    np.testing.assert_allclose(256.0 * layer.forward(layer.inverse(x)), 256.0 * x, atol=1e-3)


def test_the_ends_are_finite():
    layer = Quantile([1])
    layer.initialize(np.zeros((10, 1), np.float32))
    z, log_det = layer.inverse_and_log_det(tf.constant([[0.0], [1.0]]))
    assert np.isfinite(z).all()
    assert np.isfinite(log_det).all()


def test_a_checkpoint_keeps_the_histogram(rng, tmp_path):
    layer, new = Quantile([1], num_bins=8), Quantile([1], num_bins=8)
    layer.initialize(mostly_black(rng, (50, 1)))
    tf.train.Checkpoint(module=new).read(tf.train.Checkpoint(module=layer).write(str(tmp_path / "c"))).assert_consumed()
    assert new.is_initialized
    np.testing.assert_array_equal(new.probabilities, layer.probabilities)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="`num_bins`"):
        Quantile([1], num_bins=1)
    with pytest.raises(ValueError, match="`smoothing`"):
        Quantile([1], smoothing=0.0)
    with pytest.raises(ValueError, match="`smoothing` must be in"):
        Quantile([1], smoothing=1.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["quantile", "logit 0", "logit 0.05"])
def test_beyond_the_ends_the_density_is_zero(name, dtype):
    layer = Quantile([2], num_bins=4, dtype=dtype) if name == "quantile" else Logit(float(name.split()[-1]))
    inside = [[0.0, 1.0], [0.3, 1.0 + 1e-7]]
    outside = [[-0.2, 0.5], [0.5, 1.2], [255.0, 0.0]]
    _, log_det = layer.inverse_and_log_det(tf.constant(inside + outside, dtype), event_ndims=1)
    assert np.isfinite(log_det[:2]).all()
    assert (log_det.numpy()[2:] == -np.inf).all()


@pytest.mark.parametrize("bad", [[[0.0], [100.0]], [[-0.1], [0.5]], [[np.nan], [0.5]], np.zeros([0, 1])])
def test_data_outside_the_unit_interval_set_nothing(bad):
    layer = Quantile([1])
    with pytest.raises(ValueError, match=r"numbers in \[0, 1\].*Dequantized"):
        layer.initialize(tf.constant(bad, tf.float32))
    assert not layer.is_initialized


def test_nan_spoils_its_own_row_only():
    z = Quantile([1], num_bins=4).inverse(tf.constant([[np.nan], [0.3]])).numpy()
    assert np.isnan(z[0]).all()
    assert np.isfinite(z[1]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("alpha", [0.0, 1e-6, 0.05, 0.4])
def test_both_directions_of_logit_agree_up_to_the_limits_and_beyond(alpha, dtype):
    """Rounding x moves z by at most half of 1/64, and by some eps of z."""
    most = np.finfo(dtype).max
    z = np.concatenate([np.linspace(-110.0, 110.0, 4001), np.linspace(-800, 800, 801), [-most, most]]).astype(dtype)
    layer = Logit(alpha)
    value = tf.constant(z)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(value)
        x, log_det = layer.forward_and_log_det(value)
        back, inverse_log_det = layer.inverse_and_log_det(tf.identity(x))
    bound = alpha / (1.0 - 2.0 * alpha)
    assert x.numpy().min() > -bound
    assert x.numpy().max() < 1.0 + bound
    held = np.clip(z, back.numpy().min(), back.numpy().max())
    assert min(-held.min(), held.max()) > {"float32": 12.7, "float64": 32.8}[dtype]
    tolerance = 1 / 128 + 8 * np.finfo(dtype).eps * (1 + np.abs(held))
    assert (np.abs(back - held) <= tolerance).all()
    assert (np.abs(log_det + inverse_log_det) <= tolerance + 8 * np.finfo(dtype).eps * np.abs(log_det)).all()
    slopes = tape.gradient(x, value).numpy()
    assert np.isfinite(slopes).all()
    assert (slopes != 0.0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_bins", [2, 10, 256])
def test_it_is_exact_next_to_the_ends_and_to_edges_of_bins(rng, dtype: str, num_bins: int):
    layer = Quantile([1], num_bins=num_bins, smoothing=0.01, dtype=dtype)
    layer.initialize(rng.beta(0.5, 3.0, size=(1000, 1)))
    edges = (np.arange(num_bins + 1) / num_bins).astype(dtype)
    zero, one = np.zeros_like(edges), np.ones_like(edges)
    x = np.unique(np.concatenate([edges, np.nextafter(edges, zero), np.nextafter(edges, one)]))[1:-1]
    x = np.maximum(x, 1e3 * np.finfo(dtype).tiny)  # below, processors round to zero
    z, log_det = layer.inverse_and_log_det(x[:, None])
    exact = x.astype(np.longdouble)
    p = np.asarray(layer.probabilities)[0].astype(np.longdouble)
    scaled = exact * num_bins
    number = np.minimum(np.floor((x * np.asarray(num_bins, dtype)).astype(np.float64)), num_bins - 1).astype(int)
    below = np.concatenate([[0.0], np.cumsum(p)[:-1]])[number]
    beyond = np.concatenate([np.cumsum(p[::-1])[-2::-1], [0.0]])[number]
    f, rest = below + p[number] * (scaled - number), beyond + p[number] * (number + 1 - scaled)
    # x and its multiple are rounded once each, and F is as steep as the bin is likely.
    eps = np.finfo(dtype).eps
    steepness = num_bins * p[number] * (1.0 / f + 1.0 / rest) * np.minimum(exact, 1.0 - exact)
    tolerance = np.asarray(8 * eps * (4 + np.abs(np.log(f)) + np.abs(np.log(rest)) + num_bins * steepness), np.float64)
    assert (np.abs(np.asarray(z)[:, 0] - np.float64(np.log(f) - np.log(rest))) <= tolerance).all()
    right = np.float64(np.log(p[number] * num_bins) - np.log(f) - np.log(rest))
    assert (np.abs(np.asarray(log_det) - right) <= tolerance).all()
    assert abs(float(z[-1, 0]) - np.float64(np.log(f[-1]) - np.log(rest[-1]))) < 100 * eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("last", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("num_bins", [2, 256])
def test_both_directions_agree_up_to_the_limits_and_beyond(rng, num_bins, last, dtype):
    """Near 1 rounding x moves z, by up to log 1.5 at the last number below 1."""
    layer = Quantile([1], num_bins=num_bins, dtype=dtype)
    layer.initialize(np.where(rng.uniform(size=(1000, 1)) < last, 1.0, 0.0))
    most = np.finfo(dtype).max
    z = np.concatenate([np.linspace(-110.0, 110.0, 4001), np.linspace(-800.0, 800.0, 801), [-most, most]])
    x, log_det = layer.forward_and_log_det(z.astype(dtype)[:, None])
    back, inverse_log_det = layer.inverse_and_log_det(tf.identity(x))
    assert x.numpy().min() > 0.0
    assert x.numpy().max() < 1.0
    back, held = back.numpy()[:, 0], np.clip(z, back.numpy().min(), back.numpy().max())
    assert held.min() < {"float32": -80.0, "float64": -700.0}[dtype]
    rest, spacing = 1.0 - x.numpy()[:, 0], np.finfo(dtype).eps / 2
    tolerance = np.minimum(-np.log1p(-spacing / (2 * rest)), np.log(1.5)) + 16 * num_bins * np.finfo(dtype).eps * (
        1.0 + np.abs(held)
    )
    assert (np.abs(back - held) <= tolerance).all()
    assert (np.abs(log_det + inverse_log_det) <= 2.0 * tolerance).all()


def test_samples_have_the_density_that_they_come_with():
    layer = Quantile([2], num_bins=8)
    layer.initialize(np.random.default_rng(0).beta(0.5, 0.5, size=(500, 2)))
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 12.0), 2)  # most of it beyond the limits
    flow = Flow(base, layer)
    x, log_prob = flow.experimental_sample_and_log_prob(20_000, seed=(1, 2))
    assert ((x > 0.0) & (x < 1.0)).numpy().all()
    np.testing.assert_allclose(log_prob, flow.log_prob(x), rtol=1e-6)
