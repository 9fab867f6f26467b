import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.transformers import FromBijector, RationalQuadratic

tfb = tfp.bijectors


def tfps_spline(ours: RationalQuadratic) -> FromBijector:
    """TFP's own spline, of the same sizes and slopes for the same raw numbers."""

    def make(raw):
        k, offset = ours.num_bins, math.log(math.expm1(1.0 - ours.min_slope))
        raw = tf.stack(tf.unstack(raw), axis=-1)
        widths = ours.min_width + (1.0 - k * ours.min_width) * tf.nn.softmax(raw[..., :k])
        heights = ours.min_height + (1.0 - k * ours.min_height) * tf.nn.softmax(raw[..., k : 2 * k])
        slopes = ours.min_slope + tf.math.softplus(raw[..., 2 * k :] + offset)
        return tfb.RationalQuadraticSpline(
            2.0 * ours.bound * widths, 2.0 * ours.bound * heights, slopes, range_min=-ours.bound
        )

    return FromBijector(make, num_parameters=ours.num_parameters)


def raw_numbers(rng, spline: RationalQuadratic, count: int, scale: float = 1.0, dtype: str = "float64") -> tf.Tensor:
    return tf.constant(scale * rng.normal(size=(spline.num_parameters, count)), dtype)


def knots(spline: RationalQuadratic, raw: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """z and x at every knot, by cumulative sums; [k + 1, count] each."""
    sizes = []
    for i, minimum in ((0, spline.min_width), (spline.num_bins, spline.min_height)):
        weights = np.exp(np.asarray(raw[i : i + spline.num_bins]))
        fractions = minimum + (1.0 - spline.num_bins * minimum) * weights / weights.sum(0)
        edges = np.concatenate([np.zeros((1, fractions.shape[1])), np.cumsum(fractions, 0)])
        sizes.append(spline.bound * (2.0 * edges - 1.0))
    return sizes[0], sizes[1]


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_it_agrees_with_tfps_spline(rng, direction: str):
    spline = RationalQuadratic(num_bins=5, bound=3.0)
    raw = raw_numbers(rng, spline, 400)
    value = tf.constant(rng.uniform(-4.0, 4.0, size=400))
    ours, log_det = getattr(spline, direction)(value, raw)
    theirs, their_log_det = getattr(tfps_spline(spline), direction)(value, raw)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_det, their_log_det, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_for_the_raw_numbers_agree_with_those_of_tfps_spline(rng, direction: str):
    spline = RationalQuadratic(num_bins=5, bound=3.0)
    raw = raw_numbers(rng, spline, 300)
    value, weights = tf.constant(rng.uniform(-4.0, 4.0, size=300)), tf.constant(rng.normal(size=(2, 300)))

    def gradients(transformer) -> list:
        with tf.GradientTape() as tape:
            tape.watch([value, raw])
            total = tf.reduce_sum(weights * getattr(transformer, direction)(value, raw))
        return tape.gradient(total, [value, raw])

    for ours, theirs in zip(gradients(spline), gradients(tfps_spline(spline)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_zeros_give_the_identity():
    spline = RationalQuadratic()
    z = tf.linspace(tf.constant(-7.0, tf.float64), 7.0, 101)
    x, log_det = spline.forward(z, tf.zeros([spline.num_parameters, 101], tf.float64))
    np.testing.assert_allclose(x, z, atol=1e-12)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-12)


def test_it_goes_through_its_knots_with_their_slopes(rng):
    spline = RationalQuadratic(num_bins=4, bound=2.0)
    raw = raw_numbers(rng, spline, 10)
    left, bottom = knots(spline, raw)
    offset = math.log(math.expm1(1.0 - spline.min_slope))
    for j in range(1, 4):
        x, log_det = spline.forward(tf.constant(left[j]), raw)
        np.testing.assert_allclose(x, bottom[j], atol=1e-9)
        slope = spline.min_slope + np.log1p(np.exp(np.asarray(raw[2 * 4 + j - 1]) + offset))
        np.testing.assert_allclose(log_det, np.log(slope), atol=1e-6)


def test_slope_and_value_are_continuous_at_the_bounds(rng):
    spline = RationalQuadratic(num_bins=4, bound=2.0)
    raw = raw_numbers(rng, spline, 10)
    for bound in (-2.0, 2.0):
        inside = tf.fill([10], tf.constant(bound * (1.0 - 1e-10), tf.float64))
        x, log_det = spline.forward(inside, raw)
        np.testing.assert_allclose(x, bound, rtol=1e-8)
        np.testing.assert_allclose(log_det, 0.0, atol=1e-6)


def test_the_log_det_is_the_log_of_the_derivative(rng):
    spline = RationalQuadratic(num_bins=6)
    raw = raw_numbers(rng, spline, 200)
    value = tf.constant(rng.uniform(-6.0, 6.0, size=200))
    for direction in (spline.forward, spline.inverse):
        with tf.GradientTape() as tape:
            tape.watch(value)
            result, log_det = direction(value, raw)
        np.testing.assert_allclose(log_det, tf.math.log(tape.gradient(result, value)), atol=1e-7)


@pytest.mark.parametrize("scale", [1.0, 10.0, 1e3])
def test_it_is_monotone(rng, scale: float):
    spline = RationalQuadratic(num_bins=8)
    raw = raw_numbers(rng, spline, 1, scale)
    z = tf.linspace(tf.constant(-6.0, tf.float64), 6.0, 4001)
    x, log_det = spline.forward(z, raw)
    assert (np.diff(x) > 0.0).all()
    assert np.isfinite(log_det).all()


EXTREME = [-math.inf, -1e30, -5.0, math.nextafter(-5.0, 0.0), 0.0, 5.0, math.nextafter(5.0, 0.0), 1e30, math.inf]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_values_and_gradients_are_finite_everywhere(rng, dtype: str, direction: str, scale: float):
    spline = RationalQuadratic(num_bins=4)
    on_knots = np.concatenate([edges.ravel() for edges in knots(spline, raw_numbers(rng, spline, 3))])
    value = tf.constant(np.concatenate([EXTREME, on_knots]), dtype)
    raw = tf.constant(scale * rng.choice([-1.0, 1.0], size=(spline.num_parameters, *value.shape)), dtype)
    with tf.GradientTape() as tape:
        tape.watch([value, raw])
        result, log_det = getattr(spline, direction)(value, raw)
        # Infinities are to stay what they are; all else has to be finite.
        total = tf.reduce_sum(result[1:-1]) + tf.reduce_sum(log_det)
    assert np.isfinite(log_det).all()
    assert np.isfinite(result[1 : len(EXTREME) - 1]).all()
    assert (result[0], result[len(EXTREME) - 1]) == (-math.inf, math.inf)
    for gradient in tape.gradient(total, [value, raw]):
        assert np.isfinite(gradient).all()


def test_the_tails_are_the_identity(rng):
    spline = RationalQuadratic(bound=2.0)
    raw = raw_numbers(rng, spline, 5)
    value = tf.constant([-1e30, -2.0, 2.0, 2.5, 1e30], tf.float64)
    for direction in (spline.forward, spline.inverse):
        result, log_det = direction(value, raw)
        np.testing.assert_array_equal(result, value)
        np.testing.assert_array_equal(log_det, 0.0)


def test_nan_stays_nan_in_its_own_place(rng):
    spline = RationalQuadratic(num_bins=3)
    x, _ = spline.forward(tf.constant([math.nan, 0.5], tf.float64), raw_numbers(rng, spline, 2))
    assert np.isnan(x).tolist() == [True, False]


@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 1e-10), (1e3, 1e-6)])
def test_inverse_undoes_forward(rng, scale: float, tolerance: float):
    spline = RationalQuadratic(num_bins=8)
    raw = raw_numbers(rng, spline, 500, scale)
    z = tf.constant(rng.uniform(-6.0, 6.0, size=500))
    x, _ = spline.forward(z, raw)
    back, _ = spline.inverse(tf.identity(x), raw)
    np.testing.assert_allclose(back, z, atol=tolerance)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_bins": 1}, "`num_bins` must be at least 2; got 1"),
        ({"bound": -1.0}, "`bound` must be positive"),
        ({"min_width": 0.2}, r"`min_width` times `num_bins` must be below 1; got 0\.2 × 8"),
        ({"min_height": 0.125}, "`min_height` times `num_bins` must be below 1"),
        ({"min_slope": 1.0}, "`min_slope` must be below 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RationalQuadratic(**arguments)


def test_raw_numbers_of_another_count_are_refused():
    with pytest.raises(ValueError, match=r"`raw` must have 5 numbers on its first axis; got shape \(4, 3\)"):
        RationalQuadratic(num_bins=2).forward(np.zeros(3, np.float32), np.zeros((4, 3), np.float32))


def test_bins_of_no_width_are_refused():
    with pytest.raises(ValueError, match="`min_width` must be at least 1e-9"):
        RationalQuadratic(min_width=1e-20)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_second_derivatives_are_those_of_differences(direction, rng):
    spline = RationalQuadratic(num_bins=3)
    value, raw = tf.constant(rng.normal(size=5)), tf.constant(rng.normal(size=(8, 5)))

    def function_of_the_gradient(value, raw):
        with tf.GradientTape() as tape:
            tape.watch([value, raw])
            result, log_det = getattr(spline, direction)(value, raw)
            loss = tf.reduce_sum(tf.sin(result) + log_det)
        g_value, g_raw = tape.gradient(loss, [value, raw])
        return tf.reduce_sum(tf.sin(g_value)) + tf.reduce_sum(tf.cos(g_raw))

    with tf.GradientTape() as tape:
        tape.watch([value, raw])
        outer = function_of_the_gradient(value, raw)
    g_value, g_raw = tape.gradient(outer, [value, raw])
    for along_value, along_raw in [(rng.normal(size=5), np.zeros((8, 5))), (np.zeros(5), rng.normal(size=(8, 5)))]:
        ends = [function_of_the_gradient(value + h * along_value, raw + h * along_raw) for h in (1e-6, -1e-6)]
        slope = tf.reduce_sum(g_value * along_value) + tf.reduce_sum(g_raw * along_raw)
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-4)
