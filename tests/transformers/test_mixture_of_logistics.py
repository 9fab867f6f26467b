"""Mixture of logistics: against SciPy-free definitions, in the tails, and its solver."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.transformers import Affine, MixtureOfLogistics

tfd = tfp.distributions


def raw_numbers(rng, mixture, n, scale=1.0):
    return tf.constant(scale * rng.normal(size=(mixture.num_parameters, n)))


def test_it_is_the_logit_of_tfps_mixture(rng):
    mixture, k = MixtureOfLogistics(num_components=3), 3
    raw, x = raw_numbers(rng, mixture, 50), tf.constant(3.0 * rng.normal(size=50))
    components = tfd.Logistic(
        tf.transpose(raw[k : 2 * k] + np.linspace(-1.0, 1.0, k)[:, None]),
        tf.exp(5.0 * tf.tanh(tf.transpose(raw[2 * k : 3 * k]) / 5.0)),
    )
    reference = tfd.MixtureSameFamily(tfd.Categorical(logits=tf.transpose(raw[:k])), components)
    f = reference.cdf(x)
    z, log_det = mixture.inverse(x, raw)
    y = tf.math.log(f) - tf.math.log1p(-f)
    right, affine_log_det = Affine(bound=5.0).inverse(y, raw[3 * k :])
    np.testing.assert_allclose(z, right, rtol=1e-8)
    slope = reference.log_prob(x) - tf.math.log(f) - tf.math.log1p(-f)
    np.testing.assert_allclose(log_det, slope + affine_log_det, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_solver_finds_the_solution(scale, rng):
    mixture = MixtureOfLogistics(num_components=5)
    raw, x = raw_numbers(rng, mixture, 2000, scale), tf.constant(4.0 * rng.normal(size=2000))
    z, log_det = mixture.inverse(x, raw)
    found, other = mixture.forward(z, raw)
    np.testing.assert_allclose(found, x, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(other, -log_det, rtol=1e-6, atol=1e-6)


def test_gradients_of_the_solution_are_those_of_the_inverse_function(rng):
    mixture = MixtureOfLogistics(num_components=2)
    raw, z = raw_numbers(rng, mixture, 4), tf.constant(rng.normal(size=4))
    with tf.GradientTape() as tape:
        tape.watch([z, raw])
        x, log_det = mixture.forward(z, raw)
    found = tape.gradient([x, log_det], [z, raw])
    step = 1e-5
    for which, gradient in zip((0, 1), found, strict=True):
        at = [z, raw]
        direction = tf.constant(rng.normal(size=at[which].shape))
        ends = []
        for sign in (1.0, -1.0):
            moved = [value + sign * step * direction if i == which else value for i, value in enumerate(at)]
            ends.append(sum(tf.reduce_sum(part) for part in mixture.forward(*moved)))
        difference = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(tf.reduce_sum(gradient * direction), difference, rtol=1e-5)


@pytest.mark.parametrize("value", [-1e30, -1e4, -50.0, 0.0, 50.0, 1e4, 1e30])
def test_the_tails_are_straight_lines(value, rng):
    mixture = MixtureOfLogistics(num_components=4)
    raw = tf.cast(raw_numbers(rng, mixture, 1), tf.float32)
    for transform in (mixture.forward, mixture.inverse):
        at = tf.constant([value])
        with tf.GradientTape() as tape:
            tape.watch(at)
            result, log_det = transform(at, raw)
        slope = tape.gradient(result, at)
        assert np.isfinite([*result, *log_det]).all()
        np.testing.assert_allclose(tf.math.log(slope), log_det, rtol=1e-3, atol=1e-3)


def test_zeros_are_close_to_the_identity():
    mixture = MixtureOfLogistics()
    x = tf.linspace(-4.0, 4.0, 9)
    z, log_det = mixture.inverse(x, tf.zeros([mixture.num_parameters, 9]))
    np.testing.assert_allclose(z, x, atol=0.3)
    np.testing.assert_allclose(log_det, np.zeros(9), atol=0.2)


def test_components_that_start_alike_would_stay_alike():
    mixture = MixtureOfLogistics(num_components=3)
    raw = tf.Variable(tf.zeros([mixture.num_parameters, 1]))
    with tf.GradientTape() as tape:
        z, _ = mixture.inverse(tf.constant([0.7]), raw)
    gradient = tape.gradient(z, raw).numpy()[3:6, 0]
    assert len(set(np.round(gradient, 4))) == 3


def test_raw_numbers_of_another_count_are_refused():
    with pytest.raises(ValueError, match="`raw` must have 8 numbers"):
        MixtureOfLogistics(num_components=2).inverse(tf.zeros([3]), tf.zeros([7, 3]))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_a_gap_between_narrow_components_has_a_solution_and_finite_gradients(dtype):
    mixture = MixtureOfLogistics(num_components=2)
    raw = tf.constant([[0.0], [0.0], [0.0], [0.0], [-80.0], [-80.0], [0.0], [0.0]], dtype)
    raw += tf.constant([[0.0]] * 2 + [[4.0], [10.0]] + [[0.0]] * 4, dtype)  # means 3 and 11
    z = tf.constant([0.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch([z, raw])
        x, log_det = mixture.forward(z, raw)
        total = x + log_det
    assert np.isfinite(x).all()
    assert np.isfinite(log_det).all()
    assert abs(float(x[0]) - 7.0) < 0.1
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(total, [z, raw]))


def test_second_derivatives_of_the_solution():
    mixture = MixtureOfLogistics(num_components=2)
    raw = tf.constant([[0.5], [-0.5], [1.0], [2.0], [0.0], [0.0], [0.0], [0.0]], tf.float64)

    def derivatives(z):
        with tf.GradientTape(persistent=True) as second:
            second.watch(z)
            with tf.GradientTape(persistent=True) as first:
                first.watch(z)
                x, log_det = mixture.forward(z, raw)
            slopes = first.gradient(x, z), first.gradient(log_det, z)
        return slopes, [float(second.gradient(slope, z)[0]) for slope in slopes]

    at = tf.constant([0.3], tf.float64)
    (slope, log_det_slope), (x_second, log_det_second) = derivatives(at)
    assert log_det_second == pytest.approx(-0.108, abs=5e-4)
    # log_det is log dx/dz, so that d²x/dz² = dx/dz · d log_det/dz
    assert x_second == pytest.approx(float(slope[0] * log_det_slope[0]), rel=1e-9)
    step = 1e-5
    ends = [derivatives(at + sign * step)[0] for sign in (1.0, -1.0)]
    for second, one, other in zip((x_second, log_det_second), *ends, strict=True):
        assert second == pytest.approx(float(one[0] - other[0]) / (2 * step), abs=1e-8)
