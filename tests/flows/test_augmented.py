"""Augmented flows: a bound that is one, and gets tighter."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tfp_nvp import shapes


def small(d: int = 1, **arguments) -> nvp.AugmentedFlow:
    return randomized(nvp.AugmentedFlow([d], num_layers=2, hidden_units=[8], seed=0, **arguments))


def test_the_mean_of_the_weights_is_a_density():
    grid = np.linspace(-30.0, 30.0, 501, dtype=np.float32)[:, np.newaxis]
    density = np.exp(small().log_prob(grid, num_samples=500, seed=3))
    assert density.sum() * 60.0 / 500 == pytest.approx(1.0, abs=0.02)


def test_the_bound_grows_with_the_draws_and_is_below_the_density():
    flow = small()
    x = flow.sample(300, seed=1)
    one, four, many = (np.mean(flow.log_prob(x, num_samples=n, seed=2)) for n in (1, 4, 500))
    assert one < four < many


def test_fixed_draws_are_a_function_of_the_event_alone_and_drawn_ones_of_the_seed(rng):
    flow = small(2, num_samples=3)
    x = tf.constant(rng.normal(size=(4, 5, 2)), tf.float32)
    whole = flow.log_prob(x)
    np.testing.assert_array_equal(whole, flow.log_prob(x))
    np.testing.assert_allclose(flow.log_prob(x[2, 3]), whole[2, 3], rtol=1e-5)
    np.testing.assert_array_equal(flow.log_prob(x, seed=1), flow.log_prob(x, seed=1))
    assert np.abs(flow.log_prob(x, seed=1) - flow.log_prob(x, seed=2)).max() > 1e-3
    np.testing.assert_array_equal(whole, flow.log_prob(x, num_samples=3))
    assert np.abs(flow.log_prob(x, num_samples=1) - whole).max() > 1e-3


@pytest.mark.exhaustive
def test_it_learns_two_modes_that_depend_on_a_condition(rng):
    c = rng.normal(size=(1024, 1)).astype("float32")
    x = (np.sign(rng.normal(size=(1024, 1))) * 2.0 + c + 0.3 * rng.normal(size=(1024, 1))).astype("float32")
    flow = nvp.AugmentedFlow([1], num_layers=4, hidden_units=[32], condition_shape=[1], seed=0)
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(c, x, batch_size=64, epochs=15, verbose=0)
    entropy = np.log(2.0) + 0.5 * np.log(2.0 * np.pi * np.e * 0.09)
    of_one_normal = 0.5 * np.log(2.0 * np.pi * np.e * 4.09)
    assert entropy - 0.1 < model.evaluate(c, x, verbose=0, return_dict=True)["nll"] < of_one_normal - 0.2
    samples = model.sample(500, seed=0, condition=[1.0]).numpy()
    assert 0.3 < (samples > 1.0).mean() < 0.7


def test_events_of_no_numbers_are_flattened():
    for batch in ((2, 3), (2, 0), (0, 3)):
        assert shapes.flatten_batch(tf.zeros([*batch, 0]), 1).shape == (batch[0] * batch[1], 0)


@pytest.mark.parametrize("argument", ["num_noise", "num_layers", "num_samples"])
def test_sizes_out_of_range_are_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be at least 1; got 0"):
        nvp.AugmentedFlow([2], **{argument: 0})
