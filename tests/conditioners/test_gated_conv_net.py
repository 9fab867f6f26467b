"""GatedConvNet against its formula, and the features of a pixel."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.conditioners import GatedConvNet
from tfp_nvp.conditioners._layer_normalization import LayerNormalization
from tfp_nvp.conditioners._tanh_features import TanhFeatures


def crelu(h):
    return tf.nn.elu(tf.concat([h, -h], axis=-1))


@pytest.mark.parametrize("layer_norm", [False, True])
def test_it_computes_its_formula(layer_norm, rng):
    net = GatedConvNet(5, hidden_units=3, num_blocks=1, layer_norm=layer_norm, seed=0, dtype="float64")
    x = tf.constant(rng.normal(size=(2, 4, 4, 2)))
    net(x)
    for weight in net.trainable_weights:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))

    def conv(layer, h):
        return tf.nn.conv2d(h, layer.kernel, 1, "SAME") + layer.bias

    h = conv(net.input_layer, x)
    a, g = tf.split(
        crelu(conv(net.block_layers[0], crelu(h))) @ net.gate_layers[0].kernel + net.gate_layers[0].bias, 2, -1
    )
    h = h + a * tf.sigmoid(g)
    if layer_norm:
        mean, variance = tf.nn.moments(h, [-1], keepdims=True)
        h = (h - mean) / tf.sqrt(variance + 1e-3) * net.norms[0].gamma + net.norms[0].beta
    right = conv(net.output_layer, crelu(h)) * tf.exp(3.0 * net.output_layer.log_scale)
    np.testing.assert_allclose(net(x), right, rtol=1e-6, atol=1e-9)


def test_it_starts_at_zero_and_takes_no_rows():
    net = GatedConvNet(5, hidden_units=3, kernel_size=1, num_features=2)
    assert not np.any(net(tf.ones([2, 4, 4, 2])))
    assert net(tf.zeros([0, 4, 4, 2])).shape == (0, 4, 4, 5)


def test_a_config_makes_an_equal_one():
    net = GatedConvNet(5, hidden_units=3, layer_norm=False, kernel_size=1, num_features=2, seed=4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(net))
    assert again.get_config() == net.get_config()


def test_features_are_bounded_thresholds():
    layer = TanhFeatures(4)
    features = layer(tf.constant([[[[0.0], [1e6]]]])).numpy()
    np.testing.assert_allclose(features[0, 0, 0], np.tanh([1.0, -1.0, -3.0, -5.0]), rtol=1e-5)
    np.testing.assert_array_equal(features[0, 0, 1], np.ones(4))


def test_its_layer_norm_is_that_of_keras(rng):
    ours, theirs = LayerNormalization(), keras.layers.LayerNormalization()
    h = (3.0 * rng.normal(size=(5, 2, 2, 6)) + 1.0).astype("float32")
    np.testing.assert_allclose(ours(h), theirs(h), rtol=1e-5, atol=1e-6)  # six terms are summed in another order


def test_its_layer_norm_takes_large_numbers():
    h = tf.constant([[1e30, -1e30, 2e30]])
    layer = LayerNormalization()
    with tf.GradientTape() as tape:
        tape.watch(h)
        normalized = layer(h)
    np.testing.assert_allclose(normalized, layer(tf.constant([[1e3, -1e3, 2e3]])), rtol=1e-5)
    assert np.isfinite(tape.gradient(normalized, h)).all()
