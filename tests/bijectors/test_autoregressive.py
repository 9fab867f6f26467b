import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.conformance.cases import Cumulative, randomized
from tfp_nvp.bijectors import Autoregressive
from tfp_nvp.conditioners import MADE, MLP, ResidualMADE
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
    return bijector._plain_solve(tf.constant(z), *(() if condition is None else (tf.constant(condition),)))


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


@pytest.mark.parametrize("condition_shape", [None, [2]])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("compiled", [None, False, True], ids=["eager", "graph", "xla"])
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
    conditioner = MADE(9, hidden_units=[16], activation="linear", dtype="float64")
    bijector = Autoregressive(Shift(), conditioner, [9], dtype="float64")
    for variable in bijector.trainable_variables:
        variable.assign(2.0 * rng.normal(size=variable.shape))
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


def test_a_layer_that_has_no_masks_takes_the_plain_loop(rng):
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
