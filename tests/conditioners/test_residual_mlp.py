import numpy as np
import pytest

from tfp_nvp.conditioners import ResidualMLP


def randomized(layer, rng):
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def test_it_starts_at_zero(rng):
    np.testing.assert_array_equal(ResidualMLP(5, hidden_units=8)(rng.normal(size=(3, 2))), np.zeros([3, 5]))


@pytest.mark.parametrize("conditional", [False, True])
def test_it_is_its_formula(rng, conditional: bool):
    layer = ResidualMLP(2, hidden_units=4, num_blocks=1, activation="tanh", dtype="float64")
    inputs, condition = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)) if conditional else None
    layer(inputs, condition=condition)
    randomized(layer, rng)

    def dense(layer, value):
        return value @ layer.kernel.numpy() + layer.bias.numpy()

    joined = np.concatenate([inputs, condition], axis=-1) if conditional else inputs
    h = dense(layer.input_layer, joined)
    block = dense(layer.second_layers[0], np.tanh(dense(layer.first_layers[0], np.tanh(h))))
    if conditional:
        block /= 1.0 + np.exp(-dense(layer.gate_layers[0], condition))
    np.testing.assert_allclose(
        layer(inputs, condition=condition), dense(layer.output_layer, h + block), rtol=1e-10, atol=1e-12
    )


def test_without_a_condition_there_are_no_gates():
    plain, conditional = ResidualMLP(1, hidden_units=4), ResidualMLP(1, hidden_units=4)
    plain.build((None, 2))
    conditional.build((None, 2), (None, 3))
    assert len(conditional.weights) - len(plain.weights) == 2 * conditional.num_blocks


def test_a_config_makes_an_equal_one():
    layer = ResidualMLP(
        2, hidden_units=4, num_blocks=3, activation="gelu", dropout=0.2, kernel_regularizer="l2", seed=1
    )
    assert ResidualMLP.from_config(layer.get_config()).get_config() == layer.get_config()


def test_dropout_acts_in_training_only(rng):
    layer = ResidualMLP(2, hidden_units=64, dropout=0.5, seed=1)
    inputs = rng.normal(size=(3, 4))
    layer(inputs)
    randomized(layer, rng)
    np.testing.assert_array_equal(layer(inputs), layer(inputs))
    assert not np.allclose(layer(inputs, training=True), layer(inputs))


@pytest.mark.parametrize("name", ["num_outputs", "hidden_units", "num_blocks"])
def test_sizes_must_be_positive(name: str):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1; got 0"):
        ResidualMLP(**{"num_outputs": 1, name: 0})
