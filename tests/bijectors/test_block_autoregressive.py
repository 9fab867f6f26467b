import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import BlockAutoregressive
from tfp_nvp.flows import BlockNAF


def wild(rng, event_shape=(2,), **arguments):
    layer = BlockAutoregressive(event_shape, hidden_units=(4, 3), seed=0, dtype="float64", **arguments)
    for variable in layer.trainable_variables:
        variable.assign_add(rng.normal(size=variable.shape))
    return layer


def test_one_unit_of_one_element_is_the_formula():
    layer = BlockAutoregressive([1], hidden_units=1, seed=0, dtype="float64")
    first, second = layer._network
    first.log_scale.assign([0.3])
    first.bias.assign([0.2])
    second.log_scale.assign([-0.4])
    second.bias.assign([0.5])
    layer._raw_gates.assign([0.7])
    # A row of one weight is exp(log_scale) after normalization; scales and gates are softly bounded, by 5 and 4.
    a, b = (math.exp(5.0 * math.tanh(s / 5.0)) for s in (0.3, -0.4))
    g = 1.0 / (1.0 + math.exp(-4.0 * math.tanh(0.7 / 4.0)))
    x = 0.6
    t = math.tanh(a * x + 0.2)
    z, log_det = layer.inverse_and_log_det(tf.constant([x], tf.float64))
    np.testing.assert_allclose(z, [(1.0 - g) * x + g * (b * t + 0.5)], rtol=1e-13)
    np.testing.assert_allclose(log_det, math.log(1.0 - g + g * b * a * (1.0 - t * t)), rtol=1e-12)


def test_rows_of_weights_have_the_norm_of_their_scale(rng):
    layer = wild(rng, (3,))._network[1]
    weights = layer.weights_at(None)
    below, blocks = weights.below.numpy(), np.exp(weights.log_blocks)
    matrix = below.reshape(3, 4, 3, 3).copy()
    for i in range(3):
        matrix[i, :, i] += blocks[i]
    scale = np.exp(5.0 * np.tanh(layer.log_scale.numpy() / 5.0))
    np.testing.assert_allclose(np.linalg.norm(matrix.reshape(12, 9), axis=0), scale, rtol=1e-12)
    assert (matrix[1, :, 0] == 0.0).all()
    assert (matrix[2, :, 1] == 0.0).all()


def test_the_jacobian_is_triangular_with_a_positive_diagonal(rng):
    layer = wild(rng, (4,))
    x = tf.constant(rng.normal(size=(5, 4)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = layer.inverse(x)
    jacobian = tape.batch_jacobian(z, x).numpy()
    assert (np.triu(jacobian, 1) == 0.0).all()
    assert (np.diagonal(jacobian, axis1=1, axis2=2) > 0.0).all()
    assert (np.abs(np.tril(jacobian, -1)).max(axis=0)[np.tril_indices(4, -1)] > 0.0).all()


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e8])
def test_every_latent_has_a_root_within_the_bracket(rng, scale: float):
    """Slopes are at least 0.018, so that a rounding of x, and the tolerance of the root, move z by less than 1e-12."""
    layer = wild(rng, (3,))
    z = scale * rng.normal(size=(50, 3))
    x, log_det = layer.forward_and_log_det(z)
    back, inverse_log_det = layer.inverse_and_log_det(x)
    np.testing.assert_allclose(back, z, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(log_det, -inverse_log_det, atol=1e-12)


def test_steep_layers_are_inverted_in_float32():
    """A network of slopes of exp(10): z is right within the rounding of x times that."""
    layer = BlockAutoregressive([2], hidden_units=4, seed=0)
    for dense in layer._network:
        dense.log_scale.assign_add(tf.fill(dense.log_scale.shape, 10.0))
    z = tf.random.stateless_normal([100, 2], (1, 2)) * 3.0
    x, log_det = layer.forward_and_log_det(z)
    slope = np.exp(-log_det.numpy().min())
    assert np.isfinite(log_det).all()
    assert slope > 100.0
    np.testing.assert_allclose(layer.inverse(x), z, atol=2e-6 * slope)


@pytest.mark.slow
def test_gradients_of_samples_in_a_compiled_graph_of_any_batch_size(rng):
    layer = BlockAutoregressive([2], hidden_units=2, seed=0, dtype="float64")

    def gradients(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            x, log_det = layer.forward_and_log_det(z)
            total = tf.reduce_sum(x**2) + tf.reduce_sum(log_det)
        return tape.gradient(total, [z, *layer.trainable_variables])

    z = tf.constant(rng.normal(size=(3, 2)))
    compiled = tf.function(gradients, input_signature=[tf.TensorSpec([None, 2], tf.float64)], jit_compile=True)
    for one, other in zip(compiled(z), gradients(z), strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(one), other, rtol=1e-9, atol=1e-9)


def test_densities_integrate_to_one(rng):
    """By the midpoint rule, on a grid that reaches beyond all mass."""
    flow = BlockNAF([2], num_layers=2, hidden_units=4, seed=0, dtype="float64")
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    axis = np.linspace(-25.0, 25.0, 501)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    mass = np.exp(flow.log_prob(grid)).sum() * (axis[1] - axis[0]) ** 2
    assert abs(mass - 1.0) < 2e-3


def test_samples_have_the_moments_of_the_density(rng):
    flow = BlockNAF([1], num_layers=2, hidden_units=4, seed=3, dtype="float64")
    axis = np.linspace(-25.0, 25.0, 20001)
    density = np.exp(flow.log_prob(axis[:, None])) * (axis[1] - axis[0])
    mean, x = (density * axis).sum(), flow.sample(20000, seed=1).numpy()
    deviation = math.sqrt((density * (axis - mean) ** 2).sum())
    assert abs(x.mean() - mean) < 5.0 * deviation / math.sqrt(20000)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"hidden_units.*at least 1"):
        BlockAutoregressive([2], hidden_units=0)
    with pytest.raises(ValueError, match="`event_shape` must"):
        BlockAutoregressive([2, 2])
