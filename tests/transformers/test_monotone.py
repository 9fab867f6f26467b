import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import transformers
from tfp_nvp.transformers._monotone import clenshaw_curtis

ALL = [
    transformers.Bernstein(degree=6),
    transformers.SumOfSquares(degree=2),
    transformers.UnconstrainedMonotonic(num_units=3),
    transformers.DeepSigmoidal(num_units=3),
]
each = pytest.mark.parametrize("transformer", ALL, ids=lambda transformer: type(transformer).__name__)


def raw_numbers(rng, transformer, count: int, scale: float = 0.7) -> tf.Tensor:
    return tf.constant(scale * rng.normal(size=(transformer.num_parameters, count)))


@each
def test_the_log_det_is_that_of_automatic_differentiation(transformer, rng):
    raw = raw_numbers(rng, transformer, 200)
    z = tf.constant(4.0 * rng.normal(size=200))
    with tf.GradientTape() as tape:
        tape.watch(z)
        x, log_det = transformer.forward(z, raw)
    np.testing.assert_allclose(log_det, np.log(tape.gradient(x, z)), atol=1e-7)  # the quadrature of a smooth integrand


@each
def test_the_inverse_is_exact_with_wild_raw_numbers(transformer, rng):
    raw = raw_numbers(rng, transformer, 500, scale=3.0)
    z = tf.constant(3.0 * rng.normal(size=500))
    x, log_det = transformer.forward(z, raw)
    back, inverse_log_det = transformer.inverse(x, raw)
    # An error of rounding in x is one of z that is as much larger as the slope is small.
    scale = 1e3 * np.finfo(np.float64).eps * (1.0 + np.abs(x)) * np.exp(-np.minimum(log_det, 0.0))
    assert (np.abs(back - z) < scale).all()
    assert np.isfinite(inverse_log_det).all()


def test_far_out_the_inverse_is_on_the_tangent_of_forward(rng):
    """Where the slope at the end is a sum that cancels, one at a place next to the end is another line.

    Both ways take one slope and one end, so only the last operations are rounded: a few units of |x| and of the end.
    """
    transformer, n = transformers.SumOfSquares(degree=3), 500
    raw = tf.constant(5.0 * rng.normal(size=(transformer.num_parameters, n)), tf.float32)
    for sign in (-1.0, 1.0):
        end = transformer.forward(tf.fill([n], sign * transformer.bound), raw)[0]
        x = end + sign * 1e4
        z, _ = transformer.inverse(x, raw)
        back, _ = transformer.forward(z, raw)
        assert (np.abs(back - x) <= 16 * np.finfo("float32").eps * (np.abs(x) + np.abs(end))).all()


@each
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_derivatives_are_right_to_second_order(transformer, direction, rng):
    """Of value and log-det by the value and by the raw numbers, along one direction, against central differences."""
    count = 20
    raw, value = raw_numbers(rng, transformer, count), tf.constant(rng.normal(size=count))
    toward_raw, toward = tf.constant(rng.normal(size=raw.shape)), tf.constant(rng.normal(size=count))
    apply = getattr(transformer, direction)

    def along(t):
        result, log_det = apply(value + t * toward, raw + t * toward_raw)
        return result + log_det

    t = tf.zeros(count, tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            total = along(t)
        first = inner.gradient(total, t)
    second = outer.gradient(first, t)
    h = 1e-4  # rounding 1e-16 / h² and truncation h² are both about 1e-8
    low, mid, high = along(t - h), along(t), along(t + h)
    np.testing.assert_allclose(first, (high - low) / (2 * h), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second, (high - 2 * mid + low) / h**2, rtol=1e-3, atol=1e-4)


def test_equal_increments_of_a_bernstein_polynomial_are_the_identity_and_its_ends_are_fixed(rng):
    polynomial = transformers.Bernstein(degree=7, bound=2.0)
    z = tf.constant([-3.0, -2.0, 0.4, 2.0, 3.0], tf.float64)
    x, log_det = polynomial.forward(z, tf.zeros([5, 5], tf.float64))
    np.testing.assert_allclose(x, z, atol=1e-14)
    x, log_det = polynomial.forward(z, raw_numbers(rng, polynomial, 5, 2.0))
    np.testing.assert_allclose(tf.gather(x, [0, 1, 3, 4]), [-3.0, -2.0, 2.0, 3.0], atol=1e-14)
    np.testing.assert_allclose(tf.gather(log_det, [0, 1, 3, 4]), 0.0, atol=1e-14)


def test_a_bernstein_polynomial_is_the_sum_of_its_definition(rng):
    from scipy.interpolate import BPoly

    polynomial = transformers.Bernstein(degree=5, bound=1.5, min_increment=0.01)
    raw = raw_numbers(rng, polynomial, 1)
    shares = np.exp(raw[:, 0]) / np.exp(raw[:, 0]).sum()
    increments = 3.0 / 5 * np.concatenate([[1.0], 0.01 + 0.99 * 3 * shares, [1.0]])
    coefficients = -1.5 + np.concatenate([[0.0], np.cumsum(increments)])
    z = np.linspace(-1.4, 1.4, 9)
    x, _ = polynomial.forward(tf.constant(z), raw)
    np.testing.assert_allclose(x, BPoly(coefficients[:, None], [-1.5, 1.5])(z), atol=1e-13)


def test_a_sum_of_squares_is_the_integral_of_its_polynomials(rng):
    transformer = transformers.SumOfSquares(num_polynomials=1, degree=1, bound=2.0, min_slope=0.5)
    a, b, shift = 0.3, -0.2, 0.7
    z = np.linspace(-2.0, 2.0, 7)
    x, log_det = transformer.forward(tf.constant(z), tf.constant([[a], [b], [shift]], tf.float64))
    a, b = 10 * np.tanh((1.0 + a) / 10), 10 * np.tanh(b / 10)
    integral = 2.0 * ((a + b * z / 2) ** 3 - a**3) / (3 * b)  # of (a + b t / 2)²
    np.testing.assert_allclose(x, shift + 0.5 * z + 0.5 * integral, atol=1e-13)
    np.testing.assert_allclose(log_det, np.log(0.5 + 0.5 * (a + b * z / 2) ** 2), atol=1e-13)


def test_an_unconstrained_monotonic_map_is_the_integral_of_its_network():
    from scipy.integrate import quad

    transformer = transformers.UnconstrainedMonotonic(num_units=1, bound=4.0)
    raw = [3.0, 1.0, -0.4, 0.5, 0.2]  # v, a, b, c, shift
    v, a, c = 6 * np.tanh(3.0 / 6), (2 + 4 * np.tanh(1.0 / 4)) / 4, 3 * np.tanh(0.5 / 3)
    z = 2.7
    expected = 0.2 + quad(lambda t: np.exp(c + v * np.tanh(a * t - 0.4)), 0.0, z, epsabs=1e-12)[0]
    x, _ = transformer.forward(tf.constant([z], tf.float64), tf.constant(raw, tf.float64)[:, None])
    np.testing.assert_allclose(x, [expected], rtol=1e-9)


def test_one_deep_sigmoidal_layer_is_the_logit_of_a_mixture():
    transformer = transformers.DeepSigmoidal(num_units=2, num_layers=1)
    z = np.array([-3.0, 0.2, 5.0])
    raw = np.array([0.3, -0.2, 0.5, 0.1, 0.0, 1.0])  # log a, b, softmax
    a, b, w = (
        np.exp(3 * np.tanh(raw[:2] / 3)),
        raw[2:4] + np.array([-1.0, 1.0]),
        np.exp(raw[4:]) / np.exp(raw[4:]).sum(),
    )
    f = (w / (1 + np.exp(-(a * z[:, None] + b)))).sum(axis=1)
    x, _ = transformer.forward(tf.constant(z), tf.constant(raw)[:, None])
    np.testing.assert_allclose(x, np.log(f) - np.log1p(-f), atol=1e-12)


@pytest.mark.parametrize("nodes", [3, 4, 9, 33])
def test_the_quadrature_is_exact_for_polynomials_of_its_degree(nodes):
    t, weights = clenshaw_curtis(nodes)
    for power in range(nodes):
        np.testing.assert_allclose(weights @ t**power, 1.0 / (power + 1), atol=1e-13)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`degree` must be at least 4; got 3"):
        transformers.Bernstein(degree=3)
    with pytest.raises(ValueError, match=r"`min_increment` must be in \(0, 1\)"):
        transformers.Bernstein(min_increment=1.0)
    with pytest.raises(ValueError, match=r"`bound` must be positive"):
        transformers.SumOfSquares(bound=0.0)
    with pytest.raises(ValueError, match=r"`num_nodes` must be at least 3"):
        transformers.UnconstrainedMonotonic(num_nodes=2)
