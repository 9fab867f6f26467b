import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.conditioners import MLP


def test_it_starts_at_zero(rng):
    outputs = MLP(5, hidden_units=[8])(rng.normal(size=(3, 2)))
    np.testing.assert_array_equal(outputs, np.zeros([3, 5]))


def test_it_is_its_formula(rng):
    layer = MLP(2, hidden_units=[4], activation="tanh", dtype="float64")
    inputs, condition = rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 2))
    layer(inputs, condition=condition)
    w, b, v, c = [rng.normal(size=variable.shape) for variable in layer.weights]
    layer.set_weights([w, b, v, c])
    joined = np.concatenate([inputs, condition.reshape(3, 4)], axis=-1)
    np.testing.assert_allclose(layer(inputs, condition=condition), np.tanh(joined @ w + b) @ v + c, rtol=1e-12)


def test_inputs_may_be_empty_where_there_is_a_condition():
    assert MLP(2, hidden_units=[4])(np.zeros([3, 0]), condition=np.ones([3, 1])).shape == (3, 2)


def test_a_seed_gives_the_same_weights():
    def hidden_weights(seed: int) -> np.ndarray:
        layer = MLP(2, hidden_units=[4, 4], seed=seed)
        layer.build((None, 3))
        return np.concatenate([weight.ravel() for weight in layer.get_weights()])

    np.testing.assert_array_equal(hidden_weights(1), hidden_weights(1))
    assert (hidden_weights(1) != hidden_weights(2)).any()


def test_hidden_layers_of_one_seed_differ():
    layer = MLP(2, hidden_units=[4, 4, 4], seed=1)
    layer.build((None, 4))
    first, second = (hidden.kernel.numpy() for hidden in layer.hidden_layers[:2])
    assert (first != second).any()


def test_a_config_makes_an_equal_one():
    layer = MLP(2, hidden_units=[4], activation="gelu", dropout=0.2, kernel_regularizer="l2", seed=1)
    assert MLP.from_config(layer.get_config()).get_config() == layer.get_config()


def test_dropout_acts_in_training_only(rng):
    layer = MLP(2, hidden_units=[64], dropout=0.5, seed=1)
    inputs = rng.normal(size=(3, 4))
    layer(inputs)
    layer.output_layer.kernel.assign(rng.normal(size=(64, 2)))
    np.testing.assert_array_equal(layer(inputs), layer(inputs))
    assert not np.allclose(layer(inputs, training=True), layer(inputs))


def test_regularizers_are_of_the_hidden_layers():
    layer = MLP(2, hidden_units=[4], kernel_regularizer=keras.regularizers.L2(0.5), seed=1)
    layer.build((None, 3))
    assert float(layer.losses[0]) == pytest.approx(0.5 * np.sum(layer.hidden_layers[0].kernel.numpy() ** 2), rel=1e-5)
    assert len(layer.losses) == 1


def test_mixed_precision_computes_in_bfloat16():
    layer = MLP(2, hidden_units=[4], dtype="mixed_bfloat16")
    assert layer(tf.ones([3, 2])).dtype == tf.bfloat16
    assert {weight.dtype for weight in layer.weights} == {"float32"}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_outputs": 0}, ValueError, "`num_outputs` must be at least 1"),
        ({"num_outputs": 1, "hidden_units": []}, ValueError, "`hidden_units` must name at least one"),
        ({"num_outputs": 1, "dropout": 1.0}, ValueError, r"`dropout` must be in \[0, 1\)"),
        ({"num_outputs": 1, "hidden_units": "8"}, TypeError, "`hidden_units` must be a list"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        MLP(**arguments)
