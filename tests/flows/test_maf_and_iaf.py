import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tfp_nvp.bijectors import Autoregressive, Invert, Permute
from tfp_nvp.conditioners import MADE, ResidualMADE
from tfp_nvp.transformers import RationalQuadratic

RECIPES = pytest.mark.parametrize("recipe", [nvp.MAF, nvp.IAF])


def autoregressive(flow: nvp.Flow) -> list[Autoregressive]:
    return [module for module in flow.submodules if isinstance(module, Autoregressive)]


@RECIPES
def test_the_order_is_turned_around_from_layer_to_layer(recipe):
    layers = autoregressive(recipe([4], num_layers=3, hidden_units=[8], seed=0))
    by_name = {layer.name: layer.conditioner.order for layer in layers}
    assert by_name == {"autoregressive_0": None, "autoregressive_1": (3, 2, 1, 0), "autoregressive_2": None}


@RECIPES
def test_the_order_may_be_the_same_in_every_layer(recipe, rng):
    flow = recipe([3], num_layers=3, hidden_units=[8], order="same", seed=0)
    assert [layer.conditioner.order for layer in autoregressive(flow)] == [None] * 3
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape).astype(np.float32))
    with tf.GradientTape() as tape:
        x = tf.constant(rng.normal(size=(1, 3)), tf.float32)
        tape.watch(x)
        z = flow.encode(x)[0]
    jacobian = tape.jacobian(z, x).numpy()[0, :, 0]
    np.testing.assert_allclose(jacobian, np.tril(jacobian), atol=1e-6)
    assert (np.abs(jacobian[np.tril_indices(3)]) > 1e-6).all()


@RECIPES
def test_a_random_order_is_a_permutation_between_layers_and_comes_with_the_seed(recipe):
    orders = []
    for seed in (0, 0, 1):
        flow = recipe([8], num_layers=3, hidden_units=[8], order="random", seed=seed)
        assert all(layer.conditioner.order is None for layer in autoregressive(flow))
        orders.append([module.permutation.tolist() for module in flow.submodules if isinstance(module, Permute)])
    assert len(orders[0]) == 2
    assert orders[0] == orders[1] != orders[2]


@RECIPES
def test_networks_are_plain_or_residual(recipe):
    (plain,) = autoregressive(recipe([3], num_layers=1, hidden_units=[8, 4]))
    (residual,) = autoregressive(recipe([3], num_layers=1, hidden_units=8, num_blocks=3))
    (of_equal_widths,) = autoregressive(recipe([3], num_layers=1, hidden_units=[8, 8], num_blocks=2))
    assert isinstance(plain.conditioner, MADE)
    assert plain.conditioner.hidden_units == (8, 4)
    assert isinstance(residual.conditioner, ResidualMADE)
    assert (residual.conditioner.hidden_units, residual.conditioner.num_blocks) == (8, 3)
    assert of_equal_widths.conditioner.hidden_units == 8


def test_a_layer_of_iaf_is_one_of_maf_turned_around():
    maf, iaf = (r([3], num_layers=1, hidden_units=[8], seed=0).bijector.bijectors[-1] for r in (nvp.MAF, nvp.IAF))
    assert isinstance(maf, Autoregressive)
    assert isinstance(iaf, Invert)
    assert isinstance(iaf.bijector, Autoregressive)


@pytest.mark.parametrize(
    "transformer",
    [None, pytest.param(RationalQuadratic(num_bins=4), marks=pytest.mark.exhaustive)],
    ids=["affine", "spline"],
)
@RECIPES
@pytest.mark.exhaustive
def test_it_learns_a_correlated_gaussian(recipe, transformer, rng):
    factor = np.array([[1.0, 0.0, 0.0], [0.9, 0.5, 0.0], [-0.5, 0.6, 0.3]])
    x = (rng.normal(size=(2048, 3)) @ factor.T).astype(np.float32)
    flow = recipe([3], num_layers=2, hidden_units=[32], activation="tanh", transformer=transformer, seed=0)
    keras.utils.set_random_seed(0)  # the order of the rows
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.Adam(5e-3), jit_compile=True)
    model.fit(x, epochs=15, batch_size=128, verbose=0)
    entropy = 1.5 * np.log(2 * np.pi * np.e) + np.log(np.diag(factor)).sum()
    other = (rng.normal(size=(2000, 3)) @ factor.T).astype(np.float32)
    assert -np.mean(flow.log_prob(other)) == pytest.approx(entropy, abs=0.15)
    np.testing.assert_allclose(np.cov(flow.sample(4000, seed=1).numpy().T), factor @ factor.T, atol=0.2)


@RECIPES
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": "natural"}, "`order` must be one of 'reversed', 'random', 'same'; got 'natural'"),
        ({"hidden_units": [8, 4], "num_blocks": 1}, "`hidden_units` must be one width"),
        ({"num_layers": 0}, "`num_layers` must be at least 1"),
        ({"event_shape": [2, 2]}, r"`event_shape` must be \[d\]"),
    ],
)
def test_what_cannot_be_is_refused(recipe, arguments, message):
    with pytest.raises(ValueError, match=message):
        recipe(**{"event_shape": [3], **arguments})


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("shape", [(), 1, (1, 1)])
def test_one_sample_in_a_graph(shape, jit_compile):
    flow = nvp.MAF([5], num_layers=2, hidden_units=[8], seed=0)
    draw = tf.function(lambda: flow.sample(shape, seed=1), jit_compile=jit_compile)
    np.testing.assert_allclose(draw(), flow.sample(shape, seed=1), rtol=1e-5, atol=1e-5)
