import math

import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tfp_nvp.bijectors import ParetoTails
from tfp_nvp.transformers import RationalQuadratic


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_normal_number_becomes_generalized_pareto(dtype):
    """Of probability p to be further out, |x| is (p^(−λ) − 1) / λ."""
    weight = np.array([[0.25], [0.75]])
    p = np.logspace(-30.0, -0.01, 60)
    z = np.array([[math.sqrt(2.0) * _erfcinv(value)] for value in p])
    for sign, side in ((-1.0, 0), (1.0, 1)):
        x = ParetoTails([True], tail_weight=weight, dtype=dtype).forward(tf.constant(sign * z, dtype)).numpy()
        right = np.expm1(-weight[side, 0] * np.log(p)) / weight[side, 0]
        # An error of rounding in z is one of z² in the logarithm of x.
        np.testing.assert_allclose(sign * x[:, 0], right, rtol=1e3 * np.finfo(dtype).eps)


def _erfcinv(p: float) -> float:
    """The x of erfc(x) = p, by bisection."""
    low, high = 0.0, 30.0
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if math.erfc(middle) > p else (low, middle)
    return low


@pytest.mark.parametrize(("dtype", "eps"), [("float32", 1.2e-7), ("float64", 2.3e-16)])
@pytest.mark.parametrize("weight", [1e-3, 0.1, 0.5, 4.0])
def test_both_directions_agree_up_to_the_limit(dtype, eps, weight):
    z = np.linspace(-6.0, 6.0, 241).astype(dtype)[:, np.newaxis]
    tails = ParetoTails([True], tail_weight=weight, dtype=dtype)
    x, log_det = tails.forward_and_log_det(z)
    back, inverse_log_det = tails.inverse_and_log_det(tf.identity(x))
    assert np.abs(back - z).max() < 100 * eps
    assert np.abs(log_det + inverse_log_det).max() < 2000 * eps  # d log_det / dz is λ z, and more next to 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_is_finite_however_far(dtype):
    most = np.finfo(dtype).max
    values = tf.constant([[-most], [-1e30], [0.0], [1e-30], [1e30], [most]], dtype)
    tails = ParetoTails([True], tail_weight=1.0, dtype=dtype)
    for move in (tails.forward_and_log_det, tails.inverse_and_log_det):
        with tf.GradientTape() as tape:
            tape.watch(values)
            result, log_det = move(values)
            total = tf.reduce_sum(tf.math.asinh(tf.clip_by_value(result, -1e3, 1e3))) + tf.reduce_sum(log_det / 1e30)
        assert np.isfinite(result).all()
        assert not np.isnan(tape.gradient(total, values)).any()
    value = tf.zeros([1, 1], dtype)
    with tf.GradientTape() as tape:
        tape.watch(value)
        x = tails.forward(value)
    assert float(tape.gradient(x, value)[0, 0]) == pytest.approx(math.sqrt(2.0 / math.pi), rel=1e-6)


def test_it_starts_from_the_tails_of_data(rng):
    x = np.stack([rng.standard_t(2, 20_000), rng.normal(size=20_000), rng.exponential(size=20_000)], axis=1)
    tails = ParetoTails([True, True, True])
    tails.initialize(tf.constant(x, tf.float32))
    lower, upper = tails.tail_weights.numpy()
    assert [lower[0], upper[0]] == pytest.approx([0.5, 0.5], abs=0.1)
    assert lower[1] < 0.25
    assert upper[1] < 0.25
    assert lower[2] == pytest.approx(0.5)  # of no values


@pytest.mark.exhaustive
def test_a_fit_has_the_tails_of_students_t(rng):
    def small(event_shape, condition_shape, seed):
        spline = RationalQuadratic(num_bins=4)
        return nvp.NeuralSplineFlow(
            event_shape, num_layers=1, hidden_units=8, num_blocks=1, transformer=spline, seed=seed
        )

    x = np.stack([rng.standard_t(2, 4000), rng.normal(size=4000)], axis=1)
    model = nvp.fit(x, tails="pareto", flow=small, epochs=5, seed=0, verbose=0)
    (tails,) = (layer for layer in model.distribution.bijector.parts() if isinstance(layer, ParetoTails))
    np.testing.assert_allclose(tails.tail_weights[:, 0], 0.5, atol=0.2)
    ends = np.quantile(model.sample(200_000, seed=1)[:, 0], [0.001, 0.999])
    np.testing.assert_allclose(ends, [-22.33, 22.33], rtol=0.4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 0],), "`mask` must be a boolean vector"),
        (([True], -1.0), "`tail_weight` must be in"),
        (([True], 5.0), "`tail_weight` must be in"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    mask, *weight = arguments
    with pytest.raises((TypeError, ValueError), match=message):
        ParetoTails(mask, tail_weight=weight[0] if weight else 0.5)


def test_other_tails_are_refused(rng):
    with pytest.raises(ValueError, match="`tails` must be one of 'asinh', 'pareto'; got 'gaussian'"):
        nvp.fit(rng.normal(size=(30, 1)), tails="gaussian", epochs=1, verbose=0)
