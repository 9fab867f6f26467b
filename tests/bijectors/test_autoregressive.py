import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.conformance.cases import MONOTONE, Cumulative, autoregressive, randomized
from tfp_nvp.bijectors import Autoregressive
from tfp_nvp.bijectors._at_once import choosing, is_chosen, most_rows
from tfp_nvp.conditioners import MADE, MLP, ResidualMADE
from tfp_nvp.testing import check_bijector
from tfp_nvp.transformers import Affine, FromBijector, RationalQuadratic, Shift

tfb = tfp.bijectors

NETWORKS = {
    "made": lambda p, d: MADE(p * d, hidden_units=[16, 7], activation="tanh", seed=0, dtype="float64"),
    "residual": lambda p, d: ResidualMADE(
        p * d, hidden_units=9, activation="tanh", order=range(d)[::-1], seed=0, dtype="float64"
    ),
}


def layer(network: str, transformer=None, d: int = 6, condition_shape=None) -> Autoregressive:
    transformer = transformer or Affine()
    conditioner = NETWORKS[network](transformer.num_parameters, d)
    made = Autoregressive(transformer, conditioner, [d], condition_shape=condition_shape, dtype="float64")
    return randomized(made)


def plain(bijector: Autoregressive, z, condition=None):
    """The reference: the whole network once for every element, differentiated step by step."""
    z, condition = tf.convert_to_tensor(z), None if condition is None else tf.convert_to_tensor(condition)
    x = log_det = tf.zeros_like(z)
    for _ in range(z.shape[-1]):
        x, log_det = bijector.transformer.forward(z, bijector._raw(x, condition))
    return x, tf.reduce_sum(log_det, axis=-1)


# Sizes below, at and above multiples of a block of elements.
@pytest.mark.parametrize("d", [1, 2, 4, 5, 8, 13])
@pytest.mark.parametrize("condition_shape", [None, [2]])
@pytest.mark.parametrize("transformer", [Affine(), RationalQuadratic(num_bins=3)], ids=["affine", "spline"])
@pytest.mark.parametrize("network", NETWORKS)
def test_forward_is_that_of_the_plain_loop(rng, network, transformer, condition_shape, d):
    bijector = layer(network, transformer, d, condition_shape)
    z, condition = rng.normal(size=(5, d)), None if condition_shape is None else rng.normal(size=(5, 2))
    for value, right in zip(bijector.forward_and_log_det(z, condition), plain(bijector, z, condition), strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("network", "d", "condition_shape"), [("made", 4, None), ("residual", 9, [2])])
def test_both_solutions_are_that_of_the_plain_loop(rng, network, d, condition_shape):
    bijector = layer(network, Affine(), d, condition_shape)
    z, condition = rng.normal(size=(5, d)), None if condition_shape is None else rng.normal(size=(5, 2))
    right = plain(bijector, z, condition)
    for at_once, compiled in ((False, False), (True, False), (True, True)):
        with choosing(at_once) as choice:
            found = tf.function(bijector.forward_and_log_det, jit_compile=compiled)(z, condition)
        assert choice.networks == [bijector.conditioner]
        for value, expected in zip(found, right, strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-12)


def steep(rng):
    """A layer in which an error grows from each element to the next."""
    conditioner = MADE(9, hidden_units=[16], activation="linear", dtype="float64")
    bijector = Autoregressive(Shift(), conditioner, [9], dtype="float64")
    for variable in bijector.trainable_variables:
        variable.assign(2.0 * rng.normal(size=variable.shape))
    return bijector


def test_all_elements_at_once_are_right_where_an_error_grows_from_each_to_the_next(rng):
    """No early stop: one more element is right after each evaluation."""
    bijector = steep(rng)
    z = rng.normal(size=(3, 9))
    with choosing(at_once=True):
        x = bijector.forward(z)
    assert np.abs(x).max() > 50.0
    np.testing.assert_allclose(x, plain(bijector, z)[0], rtol=1e-9)


def test_a_row_that_is_solved_at_once_does_not_depend_on_how_long_others_take(rng):
    bijector = layer("made", RationalQuadratic(num_bins=3), d=13)
    z = rng.normal(size=(6, 13))
    z[3], z[4] = 40.0 * z[3], np.nan
    alone = z.copy()
    alone[3:5] = 0.0
    with choosing(at_once=True):
        x, of_others = bijector.forward(z).numpy(), bijector.forward(alone).numpy()
    np.testing.assert_array_equal(np.delete(x, [3, 4], axis=0), np.delete(of_others, [3, 4], axis=0))
    assert np.isnan(x[4]).any()


def test_few_rows_are_solved_at_once_in_eager_mode(rng):
    network = MADE(2 * 64, hidden_units=[256, 256], seed=0)
    bijector = Autoregressive(Affine(), network, [64])
    assert 0 < most_rows(network) < 100
    assert is_chosen(network, 1)
    assert not is_chosen(network, 10**6)
    assert not tf.function(lambda: tf.constant(is_chosen(network, 1)))()
    assert most_rows(layer("made", d=4).conditioner) is None
    assert bijector.forward(rng.normal(size=(1, 64)).astype("float32")).shape == (1, 64)


@pytest.mark.parametrize("condition_shape", [pytest.param(None, marks=pytest.mark.exhaustive), [2]])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "compiled", [None, pytest.param(False, marks=pytest.mark.exhaustive), True], ids=["eager", "graph", "xla"]
)
def test_gradients_of_forward_are_those_of_the_plain_loop(rng, network, condition_shape, compiled):
    bijector = layer(network, RationalQuadratic(num_bins=3), 6, condition_shape)
    z = tf.constant(rng.normal(size=(5, 6)))
    condition = None if condition_shape is None else tf.constant(rng.normal(size=(5, 2)))

    def gradients(forward):
        sources = [z, *([] if condition is None else [condition]), *bijector.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(sources[:2])
            x, log_det = forward(z, condition)
            loss = tf.reduce_sum(tf.sin(x)) + tf.reduce_sum(log_det**2)
        return tape.gradient(loss, sources)

    def ours():
        return gradients(bijector.forward_and_log_det)

    found = ours() if compiled is None else tf.function(ours, jit_compile=compiled)()
    for gradient, right in zip(found, gradients(lambda z, c: plain(bijector, z, c)), strict=True):
        np.testing.assert_allclose(gradient, right, rtol=1e-7, atol=1e-9)


def test_a_gradient_is_right_where_the_solution_is_steep(rng):
    """Off-diagonal slopes above the diagonal: the fixed-point iteration has to go on to its last step."""
    bijector = steep(rng)
    z = tf.constant(rng.normal(size=(3, 9)))
    found = []
    for forward in (bijector.forward, lambda z: plain(bijector, z)[0]):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = tf.reduce_sum(forward(z))
        found.append(tape.gradient(loss, z))
    assert np.abs(found[1]).max() > 50.0
    np.testing.assert_allclose(found[0], found[1], rtol=1e-7)


def test_gradients_reach_the_latents_where_nothing_is_trainable(rng):
    class Fixed(keras.layers.Layer):
        """A linear network of constants."""

        def call(self, inputs):
            shift = inputs @ tf.constant(np.triu(np.ones([3, 3]), 1))
            return tf.concat([shift, 0.1 * shift], axis=-1)

    fixed = Autoregressive(Affine(), Fixed(dtype="float64"), [3], dtype="float64")
    z = tf.constant(rng.normal(size=(4, 3)))
    found = []
    for forward in (fixed.forward, lambda z: plain(fixed, z)[0]):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = tf.reduce_sum(forward(z) ** 2)
        found.append(tape.gradient(loss, z))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def test_a_layer_that_has_no_masks(rng):
    layer = Cumulative(6, "float64")
    bijector = randomized(Autoregressive(Affine(), layer, [3], dtype="float64"))
    x = rng.normal(size=(4, 3))
    np.testing.assert_allclose(bijector.forward(tf.identity(bijector.inverse(x))), x, rtol=1e-12)


def test_a_network_in_mixed_precision_inverts_what_it_computes(rng):
    conditioner = MADE(6, hidden_units=[16], seed=0, dtype="mixed_bfloat16")
    bijector = randomized(Autoregressive(Affine(), conditioner, [3]))
    x = rng.normal(size=(50, 3)).astype("float32")
    np.testing.assert_allclose(bijector.forward(tf.identity(bijector.inverse(x))), x, atol=0.05)


def test_a_row_does_not_depend_on_its_neighbours(rng):
    bijector = layer("made", RationalQuadratic(num_bins=3), d=6)
    z = rng.normal(size=(7, 6))
    z[3] = np.nan
    x = bijector.forward(z).numpy()
    assert np.isnan(x[3]).any()
    np.testing.assert_allclose(np.delete(x, 3, axis=0), bijector.forward(np.delete(z, 3, axis=0)), rtol=1e-12)


@pytest.mark.parametrize("d", [3, 4, 5])
def test_a_transformer_that_is_not_finite_at_zero_is_no_trouble(rng, d):
    """The last block is filled up: what fills it may not spoil the rest."""
    shifted_log = FromBijector(lambda raw: tfb.Chain([tfb.Shift(raw[0]), tfb.Log()]), num_parameters=1)
    bijector = layer("made", shifted_log, d)
    z = tf.constant(rng.uniform(0.5, 2.0, size=(4, d)))
    with tf.GradientTape() as tape:
        tape.watch(z)
        x, log_det = bijector.forward_and_log_det(z)
    for value, right in zip((x, log_det), plain(bijector, z), strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-9)
    assert np.isfinite(tape.gradient(x, z)).all()


@pytest.mark.parametrize("shape", [(0, 6), (0, 3, 6), (2, 0, 6)])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_empty_batch_stays_empty(shape, compiled):
    bijector = layer("made", condition_shape=[2])
    forward = tf.function(bijector.forward_and_log_det, jit_compile=compiled)
    x, log_det = forward(tf.zeros(shape, tf.float64), tf.zeros([2], tf.float64))
    assert (x.shape, log_det.shape) == (shape, shape[:-1])
    unknown = tf.function(layer("made").forward, input_signature=[tf.TensorSpec([None, None], tf.float64)])
    assert unknown(tf.zeros([0, 6], tf.float64)).shape == (0, 6)
    assert unknown(tf.zeros([2, 6], tf.float64)).shape == (2, 6)


def test_a_condition_broadcasts(rng):
    bijector = layer("made", condition_shape=[2])
    z, condition = rng.normal(size=(4, 1, 6)), rng.normal(size=(3, 2))
    x, log_det = bijector.forward_and_log_det(z, condition)
    assert x.shape == (4, 3, 6)
    assert log_det.shape == (4, 3)
    np.testing.assert_allclose(x[2, 1], bijector.forward(z[2, 0], condition=condition[1]), rtol=1e-12)


def test_the_graph_does_not_grow_with_the_elements():
    def operations(d: int) -> int:
        bijector = Autoregressive(Affine(), MADE(2 * d, hidden_units=[32]), [d])
        graph = tf.function(bijector.forward).get_concrete_function(tf.TensorSpec([None, d])).graph
        return sum(len(f.node_def) for f in graph.as_graph_def().library.function) + len(graph.get_operations())

    assert operations(64) == operations(16)


def test_an_event_must_be_a_vector():
    with pytest.raises(ValueError, match=r"`event_shape` must be \[d\], the shape of a vector; got \[2, 2\]"):
        Autoregressive(Shift(), MADE(4), [2, 2])


def test_a_conditioner_must_make_as_many_numbers_as_are_needed():
    with pytest.raises(ValueError, match="`conditioner` must return 6 numbers"):
        Autoregressive(Affine(), MLP(5), [3])


def test_weights_train_in_both_directions(rng):
    bijector = Autoregressive(Affine(), MADE(6, hidden_units=[8], activation="tanh", seed=0), [3])
    optimizer = keras.optimizers.Adam(0.01)
    x = rng.normal(size=(64, 3)).astype("float32") @ np.float32([[1, 1, 0], [0, 1, 1], [0, 0, 1]])
    variables = list(bijector.trainable_variables)
    for forward in (bijector.forward, bijector.inverse):
        losses = []
        for _ in range(30):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((forward(x) - 1.0) ** 2)
            optimizer.apply(tape.gradient(loss, variables), variables)
            losses.append(float(loss))
        assert losses[-1] < 0.9 * losses[0]


def test_second_derivatives_where_the_first_ones_need_one_iteration(rng):
    """Only shifts depend on other elements and only the log-det is asked for: its gradient by z is zero."""
    layer = Autoregressive(
        Affine(), MADE(hidden_units=[8], activation="tanh", seed=0, dtype="float64"), [5], dtype="float64"
    )
    kernel = next(v for v in layer.trainable_variables if v.shape == (8, 10))
    kernel.assign(np.concatenate([rng.normal(size=(8, 5)), np.zeros((8, 5))], axis=1))
    z, direction = tf.constant(rng.normal(size=(3, 5))), tf.constant(rng.normal(size=(3, 5)))

    def gradient(z: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(z)
            log_det = layer.forward_and_log_det(z)[1]
        return tape.gradient(log_det, z)

    with tf.GradientTape() as tape:
        along = tf.reduce_sum(gradient(z) * direction)
    second = tape.gradient(along, kernel)
    step, change = 1e-5, rng.normal(size=(8, 10))
    ends = []
    for sign in (1.0, -1.0):
        kernel.assign_add(sign * step * change)
        ends.append(float(tf.reduce_sum(gradient(z) * direction)))
        kernel.assign_sub(sign * step * change)
    right = (ends[0] - ends[1]) / (2 * step)
    assert abs(right) > 0.1
    assert float(tf.reduce_sum(second * change)) == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("name", ["deep_sigmoidal", "sum_of_squares", "unconstrained_monotonic"])
def test_transformers_that_are_inverted_by_roots(rng, name):
    """The other guarantees are held by `bernstein` in tests/conformance."""
    names = ["inverse_of_forward", "forward_of_inverse", "inverse_log_det", "batch_shapes", "graph"]
    bijector = randomized(autoregressive(MONOTONE[name])("float32"))
    check_bijector(bijector, 4.0 * rng.normal(size=(6, 3)), only=names)
