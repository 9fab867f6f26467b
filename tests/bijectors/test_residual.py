"""Residual layers: fixed points, exact and estimated log-dets."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import bijectors, conditioners, distributions
from tfp_nvp._estimates import drawn_from
from tfp_nvp.bijectors._trace_series import log_det, roulette


def layer_of(rng, d: int = 5, lipschitz: float = 0.9, condition_shape=None, dtype="float64", **arguments):
    """A layer of weights that make its network as steep as it may be."""
    network = conditioners.LipschitzMLP(hidden_units=[16, 16], lipschitz=lipschitz, seed=0, dtype=dtype)
    layer = bijectors.Residual(network, [d], condition_shape=condition_shape, dtype=dtype, **arguments)
    for weight in layer.trainable_variables:
        weight.assign(tf.constant(rng.normal(size=weight.shape), dtype))
    return layer


def twins(rng, **arguments):
    """Layers of the same network: with an exact log-det, and with an estimate."""
    exact = layer_of(rng, **arguments)
    return exact, bijectors.Residual(exact.conditioner, [5], dtype="float64", max_exact=0, num_certain_terms=2)


@pytest.mark.parametrize("d", [1, 2, 7, 32])
def test_log_dets_of_matrices_and_their_gradients(rng, d):
    matrix = rng.normal(size=(20, d, d))
    matrix = tf.constant(np.eye(d) + 0.95 * matrix / np.linalg.norm(matrix, 2, axis=(1, 2), keepdims=True))
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        value = log_det(matrix)
    np.testing.assert_allclose(value, np.linalg.slogdet(matrix)[1], atol=1e-10)
    inverse = np.linalg.inv(matrix)
    np.testing.assert_allclose(tape.gradient(value, matrix), inverse.swapaxes(1, 2), atol=1e-10 * np.abs(inverse).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lipschitz", [0.5, 0.97])
def test_fixed_points_are_as_exact_as_rounding_lets_them(rng, dtype, lipschitz):
    """What is left of x + g(x) − z is rounding; x is off by at most 1 / (1 − lipschitz) times as much, in its norm."""
    layer = layer_of(rng, lipschitz=lipschitz, dtype=dtype)
    x = tf.constant(3.0 * rng.normal(size=(200, 5)), dtype)
    z = layer.inverse(x)
    found = layer.forward(z)
    eps = np.finfo(dtype).eps * (1.0 + np.abs(z).max(axis=-1))
    left = np.linalg.norm(layer.inverse(found) - z, axis=-1)
    assert (left <= 30.0 * eps).all()
    assert (np.linalg.norm(found - x, axis=-1) <= 30.0 * eps / (1.0 - lipschitz)).all()


def test_a_row_is_the_same_in_every_batch(rng):
    """Rows that are found stop, while others go on: servers merge requests."""
    layer = layer_of(rng, lipschitz=0.97, dtype="float64")
    z = rng.normal(size=(20, 5)) * np.logspace(-3, 3, 20)[:, None]
    alone = np.concatenate([layer.forward(row[None]) for row in z])
    np.testing.assert_allclose(layer.forward(z), alone, rtol=1e-14, atol=1e-14)


def test_far_and_missing_values_end_the_search(rng):
    layer = layer_of(rng, dtype="float32")
    x = layer.forward(tf.constant([[1e38] * 5, [np.inf] * 5, [np.nan] * 5, [1.0] * 5], tf.float32)).numpy()
    assert np.isfinite(x[[0, 3]]).all()
    assert np.isnan(x[2]).all()
    np.testing.assert_allclose(layer.inverse(x[3:]), np.ones([1, 5]), atol=1e-5)


@pytest.mark.parametrize("condition_shape", [None, [2]])
def test_derivatives_of_samples_are_those_of_the_implicit_function(rng, condition_shape):
    """dx/dz = (I + J)⁻¹, dx/dθ by differences, of a gradient of any size."""
    layer = layer_of(rng, condition_shape=condition_shape)
    given = {} if condition_shape is None else {"condition": tf.constant(rng.normal(size=(4, 2)))}
    z = tf.constant(rng.normal(size=(4, 5)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        x = layer.forward(z, **given)
        back = layer.inverse(x, **given)
    to_x, and_back = (tape.batch_jacobian(of, by, experimental_use_pfor=False) for of, by in ((x, z), (back, x)))
    np.testing.assert_allclose(and_back @ to_x, np.broadcast_to(np.eye(5), [4, 5, 5]), atol=1e-12)

    kernel = layer.conditioner.kernels[1]
    direction = rng.normal(size=kernel.shape)
    for scale in (1.0, 1e-200):
        with tf.GradientTape() as tape:
            total = scale * tf.reduce_sum(layer.forward(z, **given))
        along = float(tf.reduce_sum(tape.gradient(total, kernel.value) * direction)) / scale
        ends = []
        for step in (1e-6, -1e-6):
            kernel.assign_add(step * direction)
            ends.append(float(tf.reduce_sum(layer.forward(z, **given))))
            kernel.assign_sub(step * direction)
        assert along == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-6)


def test_which_log_dets_are_exact(rng):
    assert layer_of(rng).has_exact_log_det
    assert layer_of(rng, d=32).has_exact_log_det
    assert not layer_of(rng, d=33).has_exact_log_det
    chain = bijectors.Chain([bijectors.ActNorm([33]), layer_of(rng, d=33, dtype="float32")])
    assert not chain.has_exact_log_det


@pytest.mark.parametrize("num_certain", [1, 3])
def test_a_series_that_ends_at_random_has_the_mean_of_one_that_does_not(num_certain):
    """For g(x) = s x A, log det(I + s A) and two derivatives, by a draw for each of 20,000 rows.

    Every term counts: the second one alone is 30 standard errors.
    """
    a = np.asarray([[0.5, 0.2, 0.0], [-0.2, 0.4, 0.1], [0.1, 0.0, 0.6]])
    scale, x = tf.ones([20_000, 1], tf.float64), tf.zeros([20_000, 3], tf.float64) + 0.3

    def network(x, scale):
        return scale * tf.matmul(x, a)

    with tf.GradientTape() as outer, tf.GradientTape() as tape:
        outer.watch(scale)
        tape.watch(scale)
        _, value = roulette(network, x, [scale], tf.constant([5, 6]), num_certain)
        slope = tape.gradient(value, scale)
    inverse = np.linalg.inv(np.eye(3) + a) @ a
    right = np.linalg.slogdet(np.eye(3) + a)[1], np.trace(inverse), -np.trace(inverse @ inverse)
    for mean, draws in zip(right, (value, slope, outer.gradient(slope, scale)), strict=True):
        error = np.std(draws) / np.sqrt(len(draws))
        assert 0.0 < error < 0.02
        assert abs(np.mean(draws) - mean) < 5.0 * error


def test_drawn_log_dets_have_the_exact_mean_and_so_have_their_gradients(rng):
    """Means of 400 draws of a whole layer, of its log-det and gradients by x and weights, to 5 standard errors."""
    exact, estimated = twins(rng, lipschitz=0.6)
    x = tf.constant(rng.normal(size=(3, 5)))
    kernel = exact.conditioner.kernels[1].value

    def value_and_gradients(layer):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = layer.inverse_and_log_det(x)[1]
            total = tf.reduce_sum(value)
        return value, *tape.gradient(total, [x, kernel])

    @tf.function
    def draws(seeds):
        def one(seed):
            with drawn_from(seed):
                return value_and_gradients(estimated)

        return tf.map_fn(one, seeds, fn_output_signature=(tf.float64,) * 3)

    seeds = tf.constant([[i, 1] for i in range(400)])
    for right, drawn in zip(value_and_gradients(exact), draws(seeds), strict=True):
        error = np.std(drawn, axis=0) / np.sqrt(len(drawn) - 1)
        assert (error > 0.0).all()
        np.testing.assert_array_less(np.abs(np.mean(drawn, axis=0) - right), 5.0 * error)


def test_derivatives_of_a_drawn_gradient_are_those_of_its_value(rng):
    """Of the seed's own estimate of a gradient, by x and the condition, in graphs too."""
    layer = layer_of(rng, lipschitz=0.6, max_exact=0, condition_shape=[2])
    x, c = (tf.constant(rng.normal(size=(3, size))) for size in (5, 2))
    along = [tf.constant(rng.normal(size=value.shape)) for value in (x, c)]

    def slopes(x, c):
        with tf.GradientTape() as tape, drawn_from(tf.constant([3, 1])):
            tape.watch([x, c])
            value = tf.reduce_sum(layer.inverse_and_log_det(x, condition=c)[1])
        return sum(tf.reduce_sum(slope * way) for slope, way in zip(tape.gradient(value, [x, c]), along, strict=True))

    @tf.function
    def derivative(x, c):
        with tf.GradientTape() as tape:
            tape.watch([x, c])
            value = slopes(x, c)
        return tape.gradient(value, [x, c])

    ends = [slopes(x + step * along[0], c + step * along[1]) for step in (1e-5, -1e-5)]
    found = sum(tf.reduce_sum(slope * way) for slope, way in zip(derivative(x, c), along, strict=True))
    assert float(found) == pytest.approx(float(ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-6)


def test_fixed_log_dets_are_a_function_of_weights_and_event(rng):
    """As many vectors of signs as numbers make the traces exact; fewer do not, but give the same in every batch."""
    exact = layer_of(rng, lipschitz=0.6)
    x = tf.constant(rng.normal(size=(4, 5)))
    right = exact.inverse_and_log_det(x)[1]
    for num_probes, is_exact in ((1, False), (4, False), (8, True), (16, True)):
        layer = bijectors.Residual(
            exact.conditioner, [5], dtype="float64", max_exact=0, num_probes=num_probes, num_terms=30, seed=3
        )
        value = layer.inverse_and_log_det(x)[1]
        np.testing.assert_array_equal(value, layer.inverse_and_log_det(x)[1])
        np.testing.assert_allclose(value[2:3], layer.inverse_and_log_det(x[2:3])[1], rtol=1e-12)
        np.testing.assert_allclose(layer.forward_and_log_det(layer.inverse(x))[1], -value, rtol=1e-9)
        assert (np.abs(value - right).max() < 1e-6) == is_exact  # 5 · 0.6³¹ / 31 / 0.4 for the terms left out


def test_gradients_of_fixed_log_dets_are_those_of_their_value(rng):
    layer = layer_of(rng, max_exact=0, num_terms=6)
    x, direction = tf.constant(rng.normal(size=(4, 5))), rng.normal(size=(4, 5))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(layer.inverse_and_log_det(x)[1])
    along = float(tf.reduce_sum(tape.gradient(total, x) * direction))
    ends = [float(tf.reduce_sum(layer.inverse_and_log_det(x + step * direction)[1])) for step in (1e-6, -1e-6)]
    assert along == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-7)


def test_the_error_of_an_estimate_is_told(rng):
    exact, estimated = twins(rng, lipschitz=0.6)
    base = distributions.StandardNormal([5], dtype="float64")
    right, flow = distributions.Flow(base, exact), distributions.Flow(base, estimated)
    x = tf.constant(rng.normal(size=(6, 5)))
    mean, error = flow.log_prob_and_error(x, num_draws=100, seed=3)
    assert (error.numpy() > 0.0).all()
    np.testing.assert_array_less(np.abs(mean - right.log_prob(x)), 5.0 * error)
    assert np.abs(flow.log_prob(x, seed=1) - flow.log_prob(x, seed=2)).max() > 1e-3
    np.testing.assert_array_equal(right.log_prob_and_error(x)[1], 0.0)


def test_events_of_any_size_and_batches_of_no_rows(rng):
    layer = layer_of(rng, d=40, dtype="float32")
    for batch in ((), (0,), (2, 3)):
        z, inverse_log_det = layer.inverse_and_log_det(tf.ones([*batch, 40]))
        x, forward_log_det = layer.forward_and_log_det(z)
        assert x.shape == (*batch, 40)
        assert inverse_log_det.shape == forward_log_det.shape == batch


@pytest.mark.parametrize(
    ("argument", "value"),
    [("max_exact", -1), ("num_terms", 0), ("num_certain_terms", 0), ("num_probes", 0), ("seed", -1)],
)
def test_numbers_out_of_range_are_refused(argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be at least"):
        bijectors.Residual(conditioners.LipschitzMLP(), [2], **{argument: value})


def test_a_number_of_probes_is_a_power_of_two():
    with pytest.raises(ValueError, match="`num_probes` must be a power of 2; got 6"):
        bijectors.Residual(conditioners.LipschitzMLP(), [2], num_probes=6)
