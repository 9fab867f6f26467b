import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import bijectors, conditioners, flows
from tfp_nvp.bijectors._amortized import above_minus_one
from tfp_nvp.bijectors.sylvester import _orthonormal_columns

each = pytest.mark.parametrize("kind", [bijectors.Planar, bijectors.Radial, bijectors.Sylvester])


def wild(kind, rng, dtype="float64", **arguments):
    layer = kind([2], seed=0, dtype=dtype, **arguments)
    layer.trainable_variables[0].assign_add(3.0 * rng.normal(size=layer.trainable_variables[0].shape))
    return layer


@each
def test_layers_start_as_the_identity(kind, rng):
    x = rng.normal(size=(5, 3))
    z, log_det = kind([3], seed=0, dtype="float64").inverse_and_log_det(x)
    np.testing.assert_allclose(z, x, atol=1e-12)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-12)


@each
def test_wild_weights_stay_invertible(kind, rng):
    for _ in range(5):
        layer = wild(kind, rng)
        z = 3.0 * rng.normal(size=(100, 2))
        x, log_det = layer.forward_and_log_det(z)
        back, inverse_log_det = layer.inverse_and_log_det(x)
        assert np.isfinite(log_det).all()
        # Slopes are at least 1e-3, so rounding in x is a thousand times as large in z.
        np.testing.assert_allclose(back, z, atol=1e-9)
        np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-8)


@each
def test_densities_integrate_to_one(kind, rng):
    """By the midpoint rule on a grid that reaches beyond all mass, which a map shifts by its shift and no more."""
    recipe = {bijectors.Planar: flows.PlanarFlow, bijectors.Radial: flows.RadialFlow}.get(kind, flows.SylvesterFlow)
    flow = recipe([2], num_layers=2, seed=0, dtype="float64")
    for variable in flow.trainable_variables:
        variable.assign_add(0.5 * rng.normal(size=variable.shape))
    axis = np.linspace(-20.0, 20.0, 321)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    mass = np.exp(flow.log_prob(grid)).sum() * (axis[1] - axis[0]) ** 2
    assert abs(mass - 1.0) < 2e-3


@each
def test_derivatives_of_the_inverse_are_right_to_second_order(kind, rng):
    layer = wild(kind, rng)
    x, toward = tf.constant(rng.normal(size=(10, 2))), tf.constant(rng.normal(size=(10, 2)))

    def along(t):
        z, log_det = layer.inverse_and_log_det(x + t[:, None] * toward)
        return tf.reduce_sum(z, axis=-1) + log_det

    t = tf.zeros(10, tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            total = along(t)
        first = inner.gradient(total, t)
    second = outer.gradient(first, t)
    h = 1e-4
    low, mid, high = along(t - h), along(t), along(t + h)
    np.testing.assert_allclose(first, (high - low) / (2 * h), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(second, (high - 2 * mid + low) / h**2, rtol=1e-2, atol=1e-2)


def test_a_planar_map_is_that_of_the_paper(rng):
    layer = wild(bijectors.Planar, rng)
    numbers = layer.trainable_variables[0].numpy()
    u, w, b = numbers[:2], numbers[2:4], numbers[4]
    u = u + (float(above_minus_one(tf.constant(w @ u))) - w @ u) * w / (w @ w)
    z = rng.normal(size=(4, 2))
    x, log_det = layer.forward_and_log_det(z)
    np.testing.assert_allclose(x, z + u * np.tanh(z @ w + b)[:, None], atol=1e-12)
    np.testing.assert_allclose(log_det, np.log(1.0 + (w @ u) / np.cosh(z @ w + b) ** 2), atol=1e-9)


def test_a_radial_map_is_that_of_the_paper(rng):
    layer = wild(bijectors.Radial, rng)
    numbers = layer.trainable_variables[0].numpy()
    center, alpha = numbers[:2], np.exp(5 * np.tanh(numbers[2] / 5))
    beta = alpha * float(above_minus_one(tf.constant(numbers[3])))
    z = rng.normal(size=(4, 2))
    r = np.linalg.norm(z - center, axis=1)
    x, _ = layer.forward_and_log_det(z)
    np.testing.assert_allclose(x, z + (beta / (alpha + r))[:, None] * (z - center), atol=1e-12)


def test_a_radial_map_is_finite_at_its_center_and_far_from_it():
    layer = bijectors.Radial([2], seed=0)
    layer.trainable_variables[0].assign([1.0, 2.0, 0.0, -3.0])
    x = tf.constant([[1.0, 2.0], [1e30, -1e30], [1.0, 2.0 + 1e-6]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        z, log_det = layer.inverse_and_log_det(x)
    assert np.isfinite(z).all()
    assert np.isfinite(log_det).all()
    assert np.isfinite(tape.gradient(z, x)).all()


@pytest.mark.parametrize("shape", [(5, 3), (4, 4), (1, 1)])
def test_the_basis_for_other_runtimes_is_that_of_the_decomposition(shape, rng):
    matrix = rng.normal(size=(6, *shape))
    np.testing.assert_allclose(
        _orthonormal_columns(tf.constant(matrix), *shape) + np.zeros_like(matrix), tf.linalg.qr(matrix)[0], atol=1e-12
    )


@pytest.mark.parametrize("basis", ["orthogonal", "householder", "triangular"])
def test_the_columns_of_a_sylvester_map_are_orthonormal(basis):
    layer = bijectors.Sylvester([5], num_directions=3, basis=basis, num_reflections=4, seed=0, dtype="float64")
    basis = layer._numbers_of(tf.convert_to_tensor(layer.trainable_variables[0]))[0].numpy()
    assert basis.shape == (5, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)


def test_a_sylvester_map_of_one_direction_is_planar(rng):
    layer = wild(bijectors.Sylvester, rng, num_directions=1)
    q, r, inner, product, b = (
        value.numpy() for value in layer._numbers_of(tf.convert_to_tensor(layer.trainable_variables[0]))
    )
    z = rng.normal(size=(4, 2))
    x, log_det = layer.forward_and_log_det(z)
    t = np.tanh(inner[0, 0] * (z @ q) + b)
    np.testing.assert_allclose(x, z + r[0, 0] * t * q[:, 0], atol=1e-12)
    np.testing.assert_allclose(log_det, np.log1p(product * (1 - t**2))[:, 0], atol=1e-9)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`num_directions` must be at most the number of elements, 2; got 3"):
        bijectors.Sylvester([2], num_directions=3)
    with pytest.raises(ValueError, match=r"`basis` must be one of 'orthogonal', 'householder', 'triangular'"):
        bijectors.Sylvester([2], basis="qr")
    with pytest.raises(ValueError, match=r"`conditioner` needs a condition"):
        bijectors.Planar([2], conditioner=conditioners.MLP())
