"""Glow: shapes, priors, conditions, errors, and that it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tfp_nvp.bijectors import Chain


def small(**arguments):
    return nvp.Glow(**{"event_shape": [4, 4, 2], "num_steps": 1, "hidden_units": 4, "seed": 0, **arguments})


def test_a_learned_prior_makes_what_leaves_depend_on_what_stays(rng):
    x = rng.normal(size=(1, 4, 4, 2)).astype(np.float32)
    for learned in (False, True):
        flow = randomized(small(learned_prior=learned))
        z = flow.encode(x)[0].numpy()
        moved = z.copy()
        moved[:, 16:] += 1.0  # the last level's latent
        level = Chain([part for part in flow.bijector.levels[0].bijectors if not part.name.startswith("prior")])
        difference = level.inverse(flow.decode(moved)[0]) - level.inverse(x)
        assert (np.abs(difference[..., 4:]).max() > 1e-3) == learned


@pytest.mark.parametrize("condition_shape", [[3], [4, 4, 1], [2, 2, 3]])
def test_a_condition_reaches_the_density(condition_shape, rng):
    flow = randomized(small(condition_shape=condition_shape))
    x = rng.normal(size=(2, 4, 4, 2)).astype(np.float32)
    first, second = (flow.log_prob(x, condition=rng.normal(size=(2, *condition_shape))).numpy() for _ in range(2))
    assert (np.abs(first - second) > 1e-4).all()


def test_an_image_as_condition_is_squeezed_as_the_events_are():
    flow = small(condition_shape=[4, 4, 3])
    first = [layer.conditioner for layer in flow.bijector.levels[0].bijectors if hasattr(layer, "conditioner")]
    assert first[0].input_layer.kernel.shape[2] == 4 + 3 * 4  # half of the 8 channels, and the condition's 12


def test_temperature_draws_towards_the_image_of_the_mean():
    flow = randomized(small())
    mean = flow.decode(tf.zeros([32]))[0]
    np.testing.assert_allclose(flow.sample(2, seed=1, temperature=0.0), tf.stack([mean, mean]), atol=1e-5)


def test_a_batch_of_no_rows_gives_none():
    flow = small()
    assert flow.log_prob(tf.zeros([0, 4, 4, 2])).shape == [0]
    log_prob = tf.function(lambda x: flow.log_prob(x), input_signature=[tf.TensorSpec([None, 4, 4, 2])])
    assert log_prob(tf.zeros([0, 4, 4, 2])).shape == [0]


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match=r"multiples of 2\^num_levels = 4.*\[6, 4, 1\].*fewer levels"):
        nvp.Glow([6, 4, 1])
    with pytest.raises(ValueError, match=r"`event_shape` must be \[height, width, channels\]"):
        nvp.Glow([6])
    with pytest.raises(ValueError, match="`num_steps`"):
        nvp.Glow([4, 4, 1], num_steps=0)


@pytest.mark.exhaustive
def test_it_learns_a_picture_with_a_correlation(rng):
    """Pixels in pairs: the entropy is known."""
    keras.utils.set_random_seed(0)
    base = rng.normal(size=(6000, 4, 2, 1))
    x = np.repeat(base, 2, axis=2).astype(np.float32) + 0.1 * rng.normal(size=(6000, 4, 4, 1)).astype(np.float32)
    model = nvp.FlowModel(nvp.Glow([4, 4, 1], num_levels=1, num_steps=3, hidden_units=8, seed=0))
    model.compile(keras.optimizers.Adam(3e-3))
    model.fit(x[:5500], batch_size=200, epochs=6, verbose=0)
    pair = np.array([[1.01, 1.0], [1.0, 1.01]])
    entropy = 8 * 0.5 * np.log(np.linalg.det(2 * np.pi * np.e * pair))
    assert model.evaluate(x[5500:], verbose=0, return_dict=True)["nll"] < entropy + 0.2
