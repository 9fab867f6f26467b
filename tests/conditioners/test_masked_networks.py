"""What all masked networks promise."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import masks
from tfp_nvp.conditioners import MADE, ResidualMADE
from tfp_nvp.conditioners._masked_dense import MaskedDense

P = 2
NETWORKS = {
    "made": lambda d, **arguments: MADE(P * d, hidden_units=[12, 9], activation="tanh", dtype="float64", **arguments),
    "narrow": lambda d, **arguments: MADE(P * d, hidden_units=[2], activation="tanh", dtype="float64", **arguments),
    "residual": lambda d, **arguments: ResidualMADE(
        P * d, hidden_units=11, num_blocks=2, activation="tanh", dtype="float64", **arguments
    ),
}
ORDERS = {"natural": None, "reversed": [4, 3, 2, 1, 0], "random": [3, 0, 4, 2, 1]}


def randomized(network: keras.layers.Layer, rng: np.random.Generator) -> keras.layers.Layer:
    network.set_weights([rng.normal(size=weight.shape) for weight in network.get_weights()])
    return network


def dependence(network: keras.layers.Layer, x: np.ndarray, condition=None) -> np.ndarray:
    """Whether raw numbers of element i depend on element j, [i, j]."""
    x = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        outputs = network(x, condition=condition)
    jacobian = tf.reduce_sum(tf.abs(tape.jacobian(outputs, x, experimental_use_pfor=False)), axis=[0, 2])
    return tf.reduce_sum(tf.reshape(jacobian, [P, x.shape[-1], x.shape[-1]]), axis=0).numpy()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["made", "residual"])
@pytest.mark.parametrize("conditional", [False, True])
def test_an_element_depends_on_all_before_it_in_the_order_and_on_nothing_else(rng, name, order, conditional):
    network = NETWORKS[name](5, order=ORDERS[order])
    x, condition = rng.normal(size=(4, 5)), rng.normal(size=(4, 3)) if conditional else None
    network(x, condition=condition)
    found = dependence(randomized(network, rng), x, condition)
    for place, i in enumerate(network.order or range(5)):
        before = list(network.order or range(5))[:place]
        assert (found[i, before] > 0).all()
        np.testing.assert_array_equal(np.delete(found[i], before), 0.0)


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("name", NETWORKS)
def test_raw_numbers_of_every_element_depend_on_the_condition(rng, name, d):
    network = NETWORKS[name](d)
    x, condition = rng.normal(size=(1, d)), tf.constant(rng.normal(size=(1, 3)))
    network(x, condition=condition)
    randomized(network, rng)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(condition)
        outputs = network(x, condition=condition)
    jacobian = tape.jacobian(outputs, condition, experimental_use_pfor=False)
    assert (np.abs(jacobian.numpy().reshape(P * d, 3)) > 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_it_starts_at_zero(rng, name):
    network = NETWORKS[name](5)
    np.testing.assert_array_equal(
        network(rng.normal(size=(3, 5)), condition=rng.normal(size=(3, 2))), np.zeros([3, 10])
    )


def test_made_is_its_formula(rng):
    network = MADE(4, hidden_units=[3, 3], activation="tanh", dtype="float64")
    x, c = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    network(x, condition=c)
    randomized(network, rng)
    h = x
    # Two elements: of the three units, two have degree 0 and one has degree 1.
    cuts = [
        np.array([[0, 0, 1], [0, 0, 0]]),
        np.array([[1, 1, 1], [1, 1, 1], [0, 0, 1]]),
        np.array([[1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 0, 1]]),
    ]
    for i, (layer, cut) in enumerate(zip(network.masked_layers, cuts, strict=True)):
        h = h @ (cut * layer.kernel.numpy()) + layer.bias.numpy() + c @ network.condition_layers[i].kernel.numpy()
        h = np.tanh(h) if i < 2 else h
    np.testing.assert_allclose(network(x, condition=c), h, rtol=1e-10, atol=1e-12)


def test_residual_made_is_its_formula(rng):
    network = ResidualMADE(4, hidden_units=3, num_blocks=1, activation="tanh", dtype="float64")
    x, c = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    network(x, condition=c)
    randomized(network, rng)

    def dense(layer, h):
        return h @ (layer.mask * layer.kernel.numpy()) + layer.bias.numpy()

    inputs, first, second, outputs = network.masked_layers
    to_inputs, _, gate, to_outputs = network.condition_layers
    h = dense(inputs, x) + c @ to_inputs.kernel.numpy()
    gates = 1.0 / (1.0 + np.exp(-(c @ gate.kernel.numpy() + gate.bias.numpy())))
    h = h + gates * dense(second, np.tanh(dense(first, np.tanh(h))))
    right = dense(outputs, h) + c @ to_outputs.kernel.numpy()
    np.testing.assert_allclose(network(x, condition=c), right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_masks_hold_through_optimizer_and_regularizer(rng, name):
    network = NETWORKS[name](5, kernel_regularizer="l1l2")
    x = rng.normal(size=(8, 5))
    network(x)
    randomized(network, rng)  # the cut connections too
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.1)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network(x) ** 2) + tf.add_n(network.losses)
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    np.testing.assert_array_equal(np.triu(dependence(network, x)), 0.0)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("conditional", [False, True])
def test_it_is_saved_within_a_keras_model(rng, tmp_path, name, conditional):
    inputs = [keras.Input([5], dtype="float64")] + [keras.Input([2], dtype="float64")] * conditional
    network = NETWORKS[name](5, order=ORDERS["random"], seed=3)
    model = keras.Model(inputs, network(*inputs))
    randomized(network, rng)
    model.save(tmp_path / "model.keras")
    values = [rng.normal(size=(3, 5)), rng.normal(size=(3, 2))][: len(inputs)]
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(values), model(values))


@pytest.mark.parametrize("kind", [MADE, ResidualMADE])
def test_a_config_makes_an_equal_one(kind):
    layer = kind(6, activation="gelu", order=[1, 2, 0], kernel_regularizer="l2", seed=1)
    assert kind.from_config(layer.get_config()).get_config() == layer.get_config()


def test_seeds_give_equal_weights():
    made = [MADE(6, seed=seed) for seed in (1, 1, 2)]
    for layer in made:
        layer.build((None, 3), (None, 2))
    first, again, other = (layer.get_weights() for layer in made)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[2], other[2])


@pytest.mark.parametrize(("size", "lowest"), list(itertools.product([2, 3, 10], [0, 1])))
def test_degrees_are_spread_evenly(size, lowest):
    degrees = masks.hidden_degrees(37, size, lowest=lowest)
    counts = np.bincount(degrees, minlength=size)[lowest:]
    assert len(counts) == size - lowest
    assert counts.max() - counts.min() <= 1
    assert (np.diff(degrees) >= 0).all()


def test_a_single_element_sees_nothing():
    np.testing.assert_array_equal(masks.hidden_degrees(3, 1), [0, 0, 0])


def test_masks_are_the_papers():
    strict = masks.autoregressive(np.array([1, 2, 1]), np.array([1, 2, 3]), strict=True)
    np.testing.assert_array_equal(strict, [[0, 1, 1], [0, 0, 1], [0, 1, 1]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_outputs": 7}, "`num_outputs` must be a multiple of the event's size 3"),
        ({"order": [0, 1]}, "`order` must name each of 3 elements once"),
        ({"order": [0, 0, 1]}, "`order` must hold each of the integers from 0 to 2 once"),
        ({"hidden_units": []}, "`hidden_units` must name at least one hidden layer"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MADE(**{"num_outputs": 6, **arguments}).build((None, 3))


def test_an_order_must_be_a_sequence():
    with pytest.raises(TypeError, match="`order` must be a list of integers"):
        MADE(6, order="reversed")


def test_a_masked_layer_keeps_its_own_initializer():
    layer = MaskedDense(2, kernel_initializer="ones", dtype="float64")
    layer.connect(np.array([1, 2]), np.array([1, 2]))
    np.testing.assert_array_equal(layer(np.ones([1, 2])), [[1.0, 2.0]])


@pytest.mark.parametrize(("size", "units", "num_planes"), [(600, 700, 1), (513, 512, 3)])
def test_a_wide_layer_is_its_formula(size, units, num_planes, rng):
    layer = MaskedDense(units * num_planes, dtype="float64")
    degrees = np.sort(rng.integers(1, 50, size)), np.sort(rng.integers(1, 50, units))
    layer.connect(*degrees, strict=num_planes > 1, num_planes=num_planes)
    layer.bias.assign(rng.normal(size=layer.bias.shape))
    x, dy = (tf.constant(rng.normal(size=(3, n))) for n in (size, units * num_planes))

    def whole(x):
        return x @ tf.where(layer.mask, layer.kernel.value, 0.0) + layer.bias.value

    sources = [x, layer.kernel.value, layer.bias.value]
    found, right = [], []
    for call, to in ((tf.function(layer, jit_compile=True), found), (whole, right)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            to.append(call(x))
        to.extend(tape.gradient(to[0], sources, dy))
    for one, other in zip(found, right, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    assert not found[2].numpy()[~layer.mask].any()


@pytest.mark.parametrize("activation", ["softmax", keras.layers.PReLU()], ids=["softmax", "layer"])
def test_an_activation_must_be_of_each_number_alone(activation):
    with pytest.raises(ValueError, match="`activation` must be a function of each number alone"):
        MADE(4, activation=activation)


@pytest.mark.parametrize("kind", [MADE, ResidualMADE])
def test_a_condition_is_given_always_or_never(kind, rng):
    x, condition = rng.normal(size=(3, 2)), rng.normal(size=(3, 1))
    with_one, without = kind(4, dtype="float64"), kind(4, dtype="float64")
    with_one(x, condition=condition)
    without(x)
    with pytest.raises(ValueError, match="built with a condition"):
        with_one(x)
    with pytest.raises(ValueError, match="built without a condition"):
        without(x, condition=condition)
