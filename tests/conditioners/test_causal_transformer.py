"""Tokens see those before them, and no other."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import bijectors, conditioners, transformers


def network(**arguments) -> conditioners.CausalTransformer:
    sizes = {"num_tokens": 3, "hidden_units": 8, "num_blocks": 2, "num_heads": 2, "seed": 0, "dtype": "float64"}
    return conditioners.CausalTransformer(12, **{**sizes, **arguments})


def shaken(layer, rng):
    for variable in layer.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    return layer


@pytest.mark.parametrize("condition", [None, (2,), (2, 2)])
def test_the_jacobian_is_strictly_triangular_in_blocks_of_tokens(condition, rng):
    layer, x = network(), tf.constant(rng.normal(size=(4, 6)))
    given = [] if condition is None else [tf.constant(rng.normal(size=(4, *condition)))]
    layer(x, *given)
    shaken(layer, rng)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = tf.reshape(layer(x, *given), [4, 2, 3, 2])  # parameters, tokens, numbers
    jacobian = tape.batch_jacobian(outputs, x).numpy().reshape(4, 2, 3, 2, 3, 2)
    for token in range(3):
        assert (jacobian[:, :, token, :, token:] == 0.0).all()
        assert token == 0 or (jacobian[:, :, token, :, :token] != 0.0).all()


def test_a_layer_is_solved_in_as_many_evaluations_as_there_are_tokens(rng):
    layer = bijectors.Autoregressive(transformers.Affine(), network(num_tokens=2), [6], dtype="float64")
    shaken(layer, rng)
    x = tf.constant(rng.normal(size=(4, 6)))
    z, log_det = layer.inverse_and_log_det(x)
    calls, whole = [], layer.conditioner.call
    layer.conditioner.call = lambda *args, **kwargs: (calls.append(1), whole(*args, **kwargs))[1]
    back, forward_log_det = layer.forward_and_log_det(z)
    assert len(calls) == 2
    np.testing.assert_allclose(back, x, atol=1e-12)
    np.testing.assert_allclose(forward_log_det, -log_det, atol=1e-12)


def test_one_token_sees_nothing_but_the_condition(rng):
    layer = network(num_tokens=1)
    x, c = tf.constant(rng.normal(size=(4, 6))), tf.constant(rng.normal(size=(4, 2)))
    layer(x, c)
    shaken(layer, rng)
    np.testing.assert_array_equal(layer(x, c), layer(2.0 * x, c))
    assert np.abs(layer(x, c) - layer(x, 2.0 * c)).max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_tokens": 0}, "`num_tokens` must be at least 1"),
        ({"num_tokens": 4}, "`num_tokens` must divide the 6 numbers of an event; got 4"),
        ({"hidden_units": 9}, "`hidden_units` must be a multiple of num_heads = 2; got 9"),
        ({"num_blocks": 0}, "`num_blocks` must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        network(**arguments)(tf.zeros([1, 6], tf.float64))
