import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors import Elementwise
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
        chosen = np.asarray(raw[i : i + spline.num_bins], np.float64)
        weights = np.exp(chosen - chosen.max(0))
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_width": 1e-20}, "`min_width` must be at least 1e-09 in float64"),
        ({"min_height": 1e-20}, "`min_height` must be at least 1e-09 in float64"),
        ({"min_slope": 1e-20}, "`min_slope` must be at least 1e-09 in float64"),
        ({"bound": 1e-4}, "`bound` must be from 1e-3 to 1e6; got 0.0001"),
        ({"bound": 1e7}, "`bound` must be from 1e-3 to 1e6; got 1"),
    ],
)
def test_sizes_that_no_dtype_carries_are_refused(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RationalQuadratic(**arguments)


@pytest.mark.parametrize("name", ["min_width", "min_height", "min_slope"])
def test_sizes_that_float32_does_not_carry_are_refused_when_it_is_used(name: str):
    spline = RationalQuadratic(num_bins=2, **{name: 1e-6})
    raw = np.zeros([5, 3])
    assert np.isfinite(spline.forward(np.ones(3), raw)[0]).all()
    with pytest.raises(ValueError, match=f'`{name}` must be at least .* in float32.*use dtype="float64"'):
        spline.forward(np.ones(3, np.float32), raw.astype(np.float32))
    with pytest.raises(ValueError, match=f"`{name}` must be at least"):
        Elementwise(spline, [3])
    with pytest.raises(ValueError, match="computes in float32 or float64; got float16"):
        Elementwise(RationalQuadratic(), [3], dtype="float16")


def test_the_slope_just_beyond_a_knot_at_which_it_jumps():
    # The knot rounds to the other side of the value, and the slope doubles within a hundred thousandth of the bin.
    x, log_det = RationalQuadratic(num_bins=2).forward([4.9232054], [[0.0], [-5.0], [0.0], [0.0], [-9.0]])
    # d log_det / dθ is 1e5 there, and θ is a difference of two numbers that are each rounded to about three units.
    assert float(log_det[0]) == pytest.approx(-6.677, abs=1e5 * 3 * 6e-8)
    assert float(x[0]) == pytest.approx(3.4e-11, abs=1e-11)


def around(values: np.ndarray, dtype: str, steps: int = 3) -> np.ndarray:
    """`values` in a dtype and the numbers next to them, up to `steps` away on both sides: [2 · steps + 1, ...]."""
    found = [values.astype(dtype)]
    for end in (-np.inf, np.inf):
        last = found[0]
        for _ in range(steps):
            last = np.nextafter(last, np.asarray(end, dtype))
            found.append(last)
    return np.stack(found)


LIMITS = {"float32": (1e-5, 1e-3), "float64": (1e-9, 1e-9)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize(
    ("sizes", "num_bins", "count"),
    [
        ("default", 2, 200),
        ("default", 8, 20),
        ("subscale", 3, 60),
        ("subscale", 8, 20),
        ("least", 2, 200),
        ("least", 64, 3),
    ],
)
def test_everything_is_finite_around_knots_for_wild_raw_numbers(
    rng, dtype: str, direction: str, sizes: str, num_bins: int, count: int
):
    size, slope = {"default": (1e-3, 1e-3), "subscale": (1e-4, 1e-3), "least": LIMITS[dtype]}[sizes]
    bound = {"default": 5.0, "subscale": 10.0, "least": 1e-3}[sizes]
    spline = RationalQuadratic(num_bins=num_bins, bound=bound, min_width=size, min_height=size, min_slope=slope)
    scales = np.repeat([0.5, 3.0, 10.0, 100.0, 1e4], count)
    shape = (spline.num_parameters, len(scales))
    raw = scales * np.where(rng.random(scales.shape) < 0.5, rng.normal(size=shape), rng.choice([-1.0, 0.0, 1.0], shape))
    raw = raw.astype(dtype)
    values = around(knots(spline, raw)[direction == "inverse"], dtype).reshape(-1, len(scales))
    value, raw = tf.constant(values.ravel()), tf.constant(np.tile(raw, (1, len(values))))
    with tf.GradientTape() as second:
        second.watch([value, raw])
        with tf.GradientTape() as first:
            first.watch([value, raw])
            result, log_det = getattr(spline, direction)(value, raw)
            total = tf.reduce_sum(result) + tf.reduce_sum(log_det)
        gradients = first.gradient(total, [value, raw])
        total = tf.reduce_sum(gradients[0]) + tf.reduce_sum(gradients[1])
    for tensor in (result, log_det, *gradients, *second.gradient(total, [value, raw])):
        assert np.isfinite(tensor).all()


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
