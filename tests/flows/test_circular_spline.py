import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import Coupling
from tfp_nvp.conditioners import MLP, PeriodicFeatures
from tfp_nvp.flows import CircularSplineFlow


def moved(rng, *arguments, **keywords) -> CircularSplineFlow:
    """A flow of moved weights, in float64."""
    flow = CircularSplineFlow(
        *arguments, num_layers=2, hidden_units=8, num_blocks=1, seed=0, dtype="float64", **keywords
    )
    for variable in flow.trainable_variables:
        variable.assign_add(0.2 * rng.normal(size=variable.shape))
    return flow


def test_a_new_flow_is_uniform_on_the_torus():
    flow = CircularSplineFlow([2], num_layers=2, hidden_units=8, seed=0)
    np.testing.assert_allclose(flow.log_prob([[0.0, 1.0], [3.0, -3.0]]), -2.0 * math.log(2.0 * math.pi), atol=1e-5)


def test_a_density_on_the_torus_integrates_to_one(rng):
    flow = moved(rng, [2])
    grid = (np.arange(300) + 0.5) * 2.0 * math.pi / 300 - math.pi
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    mean = np.exp(flow.log_prob(points)).mean()
    assert mean * (2.0 * math.pi) ** 2 == pytest.approx(
        1.0, abs=5e-3
    )  # in wild bins the rule is off by some thousandths


@pytest.mark.parametrize("circular", [[True], [True, True], [True, False], [False, True, True, False]])
@pytest.mark.parametrize("condition_shape", [None, [2]])
def test_density_and_its_derivative_are_the_same_on_both_sides_of_every_seam(circular, condition_shape, rng):
    flow = moved(rng, [len(circular)], circular=circular, condition_shape=condition_shape)
    condition = {} if condition_shape is None else {"condition": tf.constant(rng.normal(size=(40, 2)))}
    for element in np.flatnonzero(circular):
        x = rng.uniform(-3.0, 3.0, size=(40, len(circular)))
        results = []
        for end in (-math.pi + 1e-9, math.pi - 1e-9):
            x[:, element] = end
            value = tf.constant(x)
            with tf.GradientTape() as tape:
                tape.watch(value)
                log_prob = flow.log_prob(value, **condition)
            results.append((log_prob, tape.gradient(log_prob, value)))
        np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-6)
        np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-4)
        x[:, element] += 4.0 * math.pi
        np.testing.assert_allclose(flow.log_prob(x, **condition), results[1][0], atol=1e-6)


def test_samples_have_their_density(rng):
    flow = moved(rng, [3], circular=[True, False, True])
    x, log_prob = flow.sample_and_log_prob(200, seed=1)
    np.testing.assert_allclose(flow.log_prob(x), log_prob, atol=1e-8)
    assert np.abs(tf.gather(x, [0, 2], axis=1)).max() <= math.pi


def test_networks_see_angles_as_cosine_and_sine_and_other_numbers_as_they_are():
    flow = CircularSplineFlow([3], circular=[True, False, True], num_layers=2, hidden_units=8, seed=0)
    couplings = [layer for layer in flow.bijector.parts() if isinstance(layer, Coupling)]
    seen = [layer.conditioner.periodic for layer in couplings]
    assert seen == [[True, True], [True, False], [True, True], [False, True]]
    network = PeriodicFeatures(MLP(hidden_units=[4]), [True, False], period=24.0, num_outputs=1)
    seen = []
    network.build((None, 2))
    network.network.call = lambda inputs, condition=None: seen.append(inputs) or inputs
    network(tf.constant([[6.0, 7.0], [30.0, 8.0]]))
    np.testing.assert_allclose(seen[0], [[7.0, 0.0, 1.0], [8.0, 0.0, 1.0]], atol=1e-5)


@pytest.mark.parametrize(
    ("circular", "message"),
    [([True], "`circular` must be 2 booleans"), ([1, 3], "got 3"), ("angle", "`circular` must be a vector")],
)
def test_a_mask_of_another_size_or_type_is_refused(circular, message):
    with pytest.raises((TypeError, ValueError), match=message):
        CircularSplineFlow([2], circular=circular)


def test_periodic_features_refuses_what_is_no_mask_of_its_inputs():
    with pytest.raises(ValueError, match="`periodic` must be True for some inputs"):
        PeriodicFeatures(MLP(), [False, False])
    with pytest.raises(ValueError, match="`periodic` must have one boolean for each of 3 inputs"):
        PeriodicFeatures(MLP(), [True, False], num_outputs=2)(tf.zeros([1, 3]))
