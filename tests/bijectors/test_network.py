import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import conditioners
from tfp_nvp.bijectors._network import connect, raw_numbers
from tfp_nvp.conditioners import MLP

#: The conditioners that are networks, not made of others.
NETWORKS = [
    name
    for name in conditioners.__all__
    if next(iter(inspect.signature(getattr(conditioners, name)).parameters)) == "num_outputs"
]


def network(layer):
    """A function from events [..., 3] and conditions [..., 2] to four raw numbers of one element [4, ..., 1]."""
    connect(layer, (3,), (2,), 4, tf.float32)
    return functools.partial(raw_numbers, layer, event_ndims=1, condition_ndims=1, num_parameters=4)


def test_any_batch_of_values_and_conditions_broadcasts(rng):
    layer = MLP(4, hidden_units=[8], seed=0)
    call = network(layer)
    layer.output_layer.kernel.assign(rng.normal(size=(8, 4)))
    value = tf.constant(rng.normal(size=(7, 3)), tf.float32)
    condition = tf.constant(rng.normal(size=(5, 1, 2)), tf.float32)
    outputs = call(value, condition)
    assert outputs.shape == [4, 5, 7, 1]
    for i in range(5):
        for j in range(7):
            np.testing.assert_allclose(outputs[:, i, j], call(value[j], condition[i, 0]), rtol=1e-5, atol=1e-6)


def test_a_model_of_keras_gets_value_and_condition_as_a_list(rng):
    value, condition = keras.Input([3]), keras.Input([2])
    model = keras.Model([value, condition], keras.layers.Dense(4)(keras.layers.Concatenate()([value, condition])))
    x, c = tf.ones([6, 3]), tf.constant(rng.normal(size=(6, 2)), tf.float32)
    np.testing.assert_allclose(network(model)(x, c)[..., 0], tf.transpose(model([x, c])))


def test_outputs_are_cast_to_the_dtype_of_values():
    assert network(MLP(4, dtype="mixed_bfloat16"))(tf.ones([3]), tf.ones([2])).dtype == tf.float32


def test_a_network_of_another_size_is_refused():
    with pytest.raises(ValueError, match="must return 4 numbers on its last axis"):
        network(MLP(5))


def test_what_is_no_keras_layer_is_refused():
    with pytest.raises(TypeError, match="`conditioner` must be a Keras 3 layer"):
        network(lambda value: value)


def test_a_conditioner_is_told_how_many_outputs_it_has():
    layer = MLP(hidden_units=[8])
    with pytest.raises(ValueError, match="MLP needs `num_outputs`"):
        layer(tf.ones([2, 3]))
    network(layer)
    assert layer.num_outputs == layer.get_config()["num_outputs"] == 4


def test_rows_and_conditions_that_do_not_fit_together_are_named():
    with pytest.raises(ValueError, match=r"batch shapes that broadcast.*\[3\] and \[5\]"):
        network(MLP(4))(tf.ones([3, 3]), tf.ones([5, 2]))


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_of_numpy_are_integers_too(name):
    sizes = {"MLP": [np.int64(3)], "MADE": [np.int64(3)], "ZeroConv": None}
    size = sizes.get(name, np.int64(3))
    arguments = {"seed": np.int64(1)} | ({} if size is None else {"hidden_units": size})
    if name == "CausalTransformer":
        arguments |= {"hidden_units": np.int64(8)} | {n: np.int64(2) for n in ("num_tokens", "num_blocks", "num_heads")}
    layer = getattr(conditioners, name)(np.int64(4), **arguments)
    outputs = layer(tf.ones(event_shape(name, 5)), condition=tf.ones([5, 1]))
    assert outputs.shape[-1] == 4
    assert type(layer)(**layer.get_config()).get_config() == layer.get_config()


def event_shape(name, rows):
    """Of events that a network takes."""
    return (rows, 4, 4, 2) if "Conv" in name else (rows, 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_seeds(name):
    needed = {"num_tokens": 2} if name == "CausalTransformer" else {}
    make = functools.partial(getattr(conditioners, name), **needed)

    def weights(seed):
        layer = make(4, seed=seed)
        layer.build(event_shape(name, None))
        return layer.get_weights()

    for once, again in zip(weights(3), weights(3), strict=True):
        np.testing.assert_array_equal(once, again)
    matrices = [w for w in weights(3) if w.ndim > 1 and w.any()]
    assert len({w.tobytes() for w in matrices}) == len(matrices)  # none is another's
    with pytest.raises(TypeError, match=r"`seed` must be an integer; got 1\.5"):
        make(4, seed=1.5)
    with pytest.raises(ValueError, match="`seed` must be at least 0; got -1"):
        make(4, seed=-1)
