"""The sphere, and densities on it per unit of its surface."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import Sphere
from tfp_nvp.flows import SphericalSplineFlow


def moved(rng, **keywords) -> SphericalSplineFlow:
    """A small flow of moved weights, in float64."""
    sizes = {"num_layers": 3, "hidden_units": 8, "num_blocks": 1, "num_bins": 4}
    flow = SphericalSplineFlow([3], **sizes, seed=0, **{"dtype": "float64", **keywords})
    for variable in flow.trainable_variables:
        variable.assign_add(0.2 * rng.normal(size=variable.shape))
    return flow


def cylinder(rng, n: int) -> tf.Tensor:
    return tf.constant(np.stack([rng.uniform(-0.95, 0.95, n), rng.uniform(-3.1, 3.1, n)], axis=1))


def log_area(function, z: tf.Tensor) -> np.ndarray:
    """½ log det Jᵀ J of a map from [2] to [3]."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        elements = tf.unstack(function(z), axis=-1)
    jacobian = np.stack([tape.gradient(element, z) for element in elements], axis=-2)
    return 0.5 * np.linalg.slogdet(np.swapaxes(jacobian, -1, -2) @ jacobian)[1]


def test_the_cylinder_has_the_area_of_the_sphere(rng):
    z, sphere = cylinder(rng, 50), Sphere(dtype="float64")
    x, log_det = sphere.forward_and_log_det(z)
    np.testing.assert_allclose(log_area(sphere.forward, z), 0.0, atol=1e-12)
    np.testing.assert_array_equal(log_det, 0.0)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(sphere.inverse(7.0 * x), z, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_poles_have_finite_derivatives(dtype):
    for value in ([0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1e30, 0.0, 1e30]):
        x = tf.constant([value], dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            back = Sphere(dtype=dtype).forward(Sphere(dtype=dtype).inverse(x))
        np.testing.assert_allclose(back, x / np.hypot(x[0, 0], x[0, 2]), atol=1e-6)
        assert np.isfinite(tape.gradient(back, x)).all()


def test_log_prob_is_that_of_the_uniform_base_and_the_change_of_area(rng):
    flow, z, sphere = moved(rng), cylinder(rng, 30), Sphere(dtype="float64")
    x = flow.bijector.forward(sphere.forward(z))
    areas = log_area(lambda z: flow.bijector.forward(sphere.forward(z)), z)
    np.testing.assert_allclose(flow.log_prob(x), -math.log(4.0 * math.pi) - areas, atol=1e-6)


@pytest.mark.parametrize("condition_shape", [None, [2]])
def test_a_density_on_the_sphere_integrates_to_one(condition_shape, rng):
    flow = moved(rng, condition_shape=condition_shape)
    heights, longitudes = (np.arange(300) + 0.5) / 150 - 1.0, ((np.arange(300) + 0.5) / 150 - 1.0) * math.pi
    x = Sphere(dtype="float64").forward(np.stack(np.meshgrid(heights, longitudes), axis=-1))
    condition = {} if condition_shape is None else {"condition": [1.0, -1.0]}
    assert 4.0 * math.pi * np.exp(flow.log_prob(x, **condition)).mean() == pytest.approx(1.0, abs=5e-3)


def test_samples_are_unit_vectors_of_their_density(rng):
    flow = moved(rng)
    x, log_prob = flow.sample_and_log_prob(200, seed=1)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(flow.log_prob(x), log_prob, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [pytest.param(-1.0, marks=pytest.mark.exhaustive), 1.0])
def test_the_gradient_at_a_pole_is_that_next_to_it(dtype, axis, sign, rng):
    """The derivatives of log p at both poles of every axis, against differences of the float64 density."""
    flow, right = moved(rng, dtype=dtype), moved(np.random.default_rng(0), dtype="float64")
    for a, b in zip(right.trainable_variables, flow.trainable_variables, strict=True):
        a.assign(tf.cast(b, tf.float64))
    pole = np.roll([0.0, 0.0, sign], axis)
    for radius in (0.0, 1e-8, 1e-5, 1e-3):
        x = pole + radius * np.roll([0.6, 0.8, 0.0], axis)
        with tf.GradientTape() as tape:
            value = tf.constant(x, dtype)
            tape.watch(value)
            log_prob = flow.log_prob(value)
        gradient, step = tape.gradient(log_prob, value), 1e-4
        for way in np.delete(np.eye(3), np.argmax(np.abs(pole)), axis=0):
            difference = float(right.log_prob(x + step * way) - right.log_prob(x - step * way)) / (2.0 * step)
            assert float(tf.reduce_sum(gradient * way.astype(dtype))) == pytest.approx(difference, abs=0.1, rel=0.05)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_density_is_continuous_at_the_poles_and_at_the_seam(axis, sign, rng):
    flow = moved(rng)
    around = np.linspace(-math.pi, math.pi, 9)
    near = np.stack([1e-6 * np.cos(around), 1e-6 * np.sin(around), np.full(9, sign)], axis=1)
    assert np.ptp(flow.log_prob(np.roll(near, axis, axis=1))) < 1e-3
    sides = [[math.cos(a), math.sin(a), 0.4 * sign] for a in (math.pi - 1e-9, -math.pi + 1e-9)]
    below, above = flow.log_prob(np.roll(sides, axis, axis=1)).numpy()
    assert below == pytest.approx(above, abs=1e-6)


def test_a_new_flow_is_uniform_and_has_events_of_three():
    flow = SphericalSplineFlow(num_layers=1, hidden_units=4, seed=0)
    np.testing.assert_allclose(flow.log_prob([[0.0, 0.0, 1.0], [0.6, -0.8, 0.0]]), -math.log(4.0 * math.pi), rtol=1e-5)
    with pytest.raises(ValueError, match=r"`event_shape` must be \[3\], of unit vectors; got \[2\]"):
        SphericalSplineFlow([2])
