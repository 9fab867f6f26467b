import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.transformers import CircularSpline, RationalQuadratic

HOURS = CircularSpline(num_bins=4, low=0.0, high=24.0)


def raw_numbers(rng, spline, count, scale=1.0, dtype="float64") -> tf.Tensor:
    return tf.constant(scale * rng.normal(size=(spline.num_parameters, count)), dtype)


def distance(a, b, period) -> np.ndarray:
    """Between points of a circle."""
    apart = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)) % period
    return np.minimum(apart, period - apart)


def test_raw_numbers_of_zero_give_the_identity_and_wrap():
    z = tf.constant([0.0, 5.5, 23.75, 24.0, -1.0, 49.0], tf.float64)
    x, log_det = HOURS.forward(z, tf.zeros([HOURS.num_parameters, 1], tf.float64))
    np.testing.assert_allclose(x, [0.0, 5.5, 23.75, 0.0, 23.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-12)


def test_without_a_phase_it_is_the_spline_on_the_interval_with_equal_outer_slopes(rng):
    circular, plain = CircularSpline(num_bins=4), RationalQuadratic(num_bins=4, bound=math.pi)
    raw = np.array(raw_numbers(rng, circular, 200))
    raw[8], raw[-2:] = 0.0, 0.0  # the slope at the seam is one, as in the tails of the other
    z = tf.constant(rng.uniform(-math.pi, math.pi, 200))
    results = circular.forward(z, tf.constant(raw))
    for result, right in zip(results, plain.forward(z, tf.constant(np.delete(raw, [8, -2, -1], 0))), strict=True):
        np.testing.assert_allclose(result, right, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_inverse_is_exact(dtype, rng):
    """An error of rounding in x is one of z that is as much larger as the slope is small."""
    raw = raw_numbers(rng, HOURS, 500, 2.0, dtype)
    z = tf.constant(rng.uniform(0.0, 24.0, 500), dtype)
    x, log_det = HOURS.forward(z, raw)
    assert ((x >= 0.0) & (x < 24.0)).numpy().all()
    back, inverse_log_det = HOURS.inverse(x, raw)
    error = 100.0 * np.finfo(dtype).eps * 24.0 * np.exp(-np.minimum(log_det, 0.0))
    assert (distance(back, z, 24.0) < error).all()
    there = np.abs(inverse_log_det + HOURS.forward(back, raw)[1])
    assert np.median(there) < 100.0 * np.finfo(dtype).eps
    assert (there < 1e5 * np.finfo(dtype).eps).all()  # next to a narrow bin's knot the slope changes quickly


def test_value_and_derivative_are_continuous_at_the_seam_of_z_and_of_x(rng):
    raw = raw_numbers(rng, HOURS, 50)
    phase = HOURS.forward(tf.zeros(50, tf.float64), raw)[0]
    for move, seam in ((HOURS.forward, tf.zeros(50, tf.float64)), (HOURS.inverse, tf.zeros(50, tf.float64))):
        (below, slope_below), (above, slope_above) = (move(seam + step, raw) for step in (-1e-9, 1e-9))
        assert (distance(below, above, 24.0) < 1e-5).all()
        np.testing.assert_allclose(slope_below, slope_above, atol=1e-5)
    assert np.ptp(phase) > 1.0


def test_the_phase_goes_around_once_as_its_vector_does():
    turn = np.linspace(-3.0, 3.0, 13)
    raw = np.zeros([HOURS.num_parameters, 13])
    raw[-2:] = 5.0 * np.cos(turn) - 1.0, 5.0 * np.sin(turn)
    x, _ = HOURS.forward(tf.zeros(13, tf.float64), tf.constant(raw))
    np.testing.assert_allclose(x, (24.0 * turn / (2.0 * math.pi)) % 24.0, atol=1e-9)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("scale", [3.0, 1e3, 1e30])
def test_derivatives_are_finite_for_wild_raw_numbers_and_values(direction, scale, rng):
    raw = np.array(raw_numbers(rng, HOURS, 300, scale, "float32"))
    raw[-2:, :100] = np.array([[-1.0], [0.0]]) + 1e-4 * rng.normal(
        size=(2, 100)
    )  # next to where the phase has no value
    raw[-2:, 0] = -1.0, 0.0
    raw = tf.constant(raw)
    value = tf.constant(
        np.concatenate([rng.uniform(0, 24, 280), np.tile([0.0, 24.0, 12.0, 1e30, -1e30], 4)]), "float32"
    )
    with tf.GradientTape() as outer:
        outer.watch([value, raw])
        with tf.GradientTape() as inner:
            inner.watch([value, raw])
            total = tf.add_n([tf.reduce_sum(result) for result in getattr(HOURS, direction)(value, raw)])
        first = inner.gradient(total, [value, raw])
        total = tf.add_n([tf.reduce_sum(gradient) for gradient in first])
    for gradient in (*first, *outer.gradient(total, [value, raw])):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_derivatives_by_the_raw_numbers_are_right_to_second_order(direction, rng):
    raw, value = raw_numbers(rng, HOURS, 20, 0.7), tf.constant(rng.uniform(1.0, 23.0, 20))
    toward = tf.constant(rng.normal(size=raw.shape))

    def along(t):
        result, log_det = getattr(HOURS, direction)(value, raw + t * toward)
        angle = result * (2.0 * math.pi / 24.0)  # a function on the circle
        return tf.sin(angle) + log_det

    t = tf.zeros(20, tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            total = tf.reduce_sum(along(t))
        first = inner.gradient(total, t)
    second = outer.gradient(first, t)
    ahead, here, behind = (along(t + step) for step in (1e-4, 0.0, -1e-4))
    np.testing.assert_allclose(first, (ahead - behind) / 2e-4, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(second, (ahead - 2.0 * here + behind) / 1e-8, rtol=1e-3, atol=1e-3)


def test_nan_stays_nan():
    x, _ = HOURS.forward(tf.constant([np.nan, 1.0]), tf.zeros([HOURS.num_parameters, 2]))
    assert np.isnan(x).tolist() == [True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 1.0, "high": 1.0}, "`high` must be 2e-3 to 2e6 above `low`; got 1.0 and 1.0"),
        ({"low": 1e9, "high": 1e9 + 1.0}, "within ten thousand periods of 0"),
        ({"num_bins": 1}, "`num_bins` must be at least 2; got 1"),
        ({"min_slope": 1.5}, "`min_slope` must be below 1; got 1.5"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CircularSpline(**arguments)
