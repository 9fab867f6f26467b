import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import masks
from tfp_nvp.bijectors import Autoregressive, Coupling
from tfp_nvp.conditioners import MADE, MLP, ConvNet, Separate, ZeroConv
from tfp_nvp.flows import RealNVP
from tfp_nvp.transformers import Affine, RationalQuadratic


def moved(layer, rng):
    for variable in layer.trainable_variables:
        variable.assign_add(0.5 * rng.normal(size=variable.shape).astype(np.float32))
    return layer


def test_in_a_coupling_one_network_is_the_translation_and_one_the_scale(rng):
    """Equations 7 and 8 of Dinh et al. (2017), with s = tanh(r): `Affine(bound=1.0)`."""
    translation, scale = (MLP(hidden_units=[8], activation=name, seed=1) for name in ("relu", "tanh"))
    mask = masks.half(5)
    coupling = moved(Coupling(Affine(bound=1.0), Separate([translation, scale]), mask), rng)
    assert translation.num_outputs == scale.num_outputs == 3
    z = rng.normal(size=(7, 5)).astype(np.float32)
    t, s = translation(z[:, mask]).numpy(), np.tanh(scale(z[:, mask]).numpy())
    x, log_det = coupling.forward_and_log_det(z)
    np.testing.assert_allclose(x.numpy()[:, ~mask], z[:, ~mask] * np.exp(s) + t, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(log_det, s.sum(-1), rtol=1e-5, atol=1e-5)


def test_networks_share_the_raw_numbers_of_an_image(rng):
    coupling = Coupling(Affine(), Separate([ConvNet(hidden_units=4), ZeroConv()]), masks.channel(4, 4, 2))
    x = rng.normal(size=(2, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(coupling.inverse(tf.identity(moved(coupling, rng).forward(x))), x, atol=1e-4)


def test_masked_networks_stay_autoregressive(rng):
    layer = moved(Autoregressive(Affine(), Separate([MADE(hidden_units=[8], seed=i) for i in (0, 1)]), [3]), rng)
    x = tf.constant(rng.normal(size=(1, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = layer.inverse(x)
    jacobian = tape.jacobian(z, x).numpy()[0, :, 0]
    np.testing.assert_allclose(jacobian, np.tril(jacobian), atol=1e-6)
    np.testing.assert_allclose(layer.forward(tf.identity(z)), x, atol=1e-5)


def test_a_config_makes_it_again():
    layer = Separate([MLP(hidden_units=[8], activation="tanh"), keras.layers.Dense(2)], num_outputs=4)
    again = Separate.from_config(layer.get_config())
    assert [type(network) for network in again.networks] == [MLP, keras.layers.Dense]
    assert again.networks[0].hidden_units == (8,)
    assert again(tf.zeros([3, 2])).shape == [3, 4]


def test_a_recipe_has_a_network_for_each_raw_number():
    for transformer in (Affine(), RationalQuadratic(num_bins=2)):
        flow = RealNVP([2], num_layers=1, hidden_units=8, transformer=transformer, separate_networks=True, seed=0)
        (coupling,) = (layer for layer in flow.bijector.bijectors if isinstance(layer, Coupling))
        networks = coupling.conditioner.networks
        assert len(networks) == transformer.num_parameters
        first, second = (network.hidden_layers[0].kernel.numpy() for network in networks[:2])
        assert (first != second).all()


def test_what_is_no_list_of_networks_is_refused():
    with pytest.raises(TypeError, match="`networks` must be a list of Keras layers"):
        Separate(MLP())
    with pytest.raises(ValueError, match="`networks` must hold at least one"):
        Separate([])
    with pytest.raises(ValueError, match="must share 3 raw numbers equally; there are 2"):
        Separate([MLP(), MLP()], num_outputs=3)(tf.zeros([1, 2]))
