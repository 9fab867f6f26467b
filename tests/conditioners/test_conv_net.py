"""Glow's networks against their formulas."""

import keras
import numpy as np
import pytest

from tfp_nvp.conditioners import ConvNet, ZeroConv


def convolved(image, kernel):
    """The sum over a 3 × 3 neighbourhood, zero outside."""
    height, width = image.shape[1:3]
    padded = np.pad(image, [(0, 0), (1, 1), (1, 1), (0, 0)])
    return sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))


def moved(layer, rng):
    for weight in layer.weights:
        weight.assign(0.5 * rng.normal(size=weight.shape))
    return {weight.path.split("/", 1)[-1]: weight.numpy() for weight in layer.weights}


def test_conv_net(rng):
    net = ConvNet(5, hidden_units=4, activation="relu", seed=0, dtype="float64")
    image, condition = rng.normal(size=(2, 4, 3, 2)), rng.normal(size=(2, 1))
    assert not np.any(net(image, condition))
    w = moved(net, rng)
    joined = np.concatenate([image, np.broadcast_to(condition[:, None, None], (2, 4, 3, 1))], axis=-1)
    h = np.maximum(convolved(joined, w["inputs/kernel"]) + w["inputs/bias"], 0.0)
    h = np.maximum(h @ w["hidden/kernel"] + w["hidden/bias"], 0.0)
    outputs = (convolved(h, w["outputs/kernel"]) + w["outputs/bias"]) * np.exp(3.0 * w["outputs/log_scale"])
    np.testing.assert_allclose(net(image, condition), outputs, rtol=1e-12)


@pytest.mark.parametrize("condition_shape", [None, (3,), (8, 6, 1)])
def test_zero_conv(rng, condition_shape):
    net = ZeroConv(5, dtype="float64")
    image = rng.normal(size=(2, 4, 3, 2))
    condition = None if condition_shape is None else rng.normal(size=(2, *condition_shape))
    assert not np.any(net(image, condition))
    w = moved(net, rng)
    joined = image
    if condition_shape == (3,):
        joined = np.concatenate([image, np.broadcast_to(condition[:, None, None], (2, 4, 3, 3))], axis=-1)
    elif condition_shape is not None:  # squares of 2 × 2 pixels become channels
        squares = condition.reshape(2, 4, 2, 3, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(2, 4, 3, 4)
        joined = np.concatenate([image, squares], axis=-1)
    outputs = (convolved(joined, w["outputs/kernel"]) + w["outputs/bias"]) * np.exp(3.0 * w["outputs/log_scale"])
    np.testing.assert_allclose(net(image, condition), outputs, rtol=1e-12)
    assert net(image[:0], None if condition is None else condition[:0]).shape == (0, 4, 3, 5)


@pytest.mark.parametrize("net", [ConvNet(5, hidden_units=4, seed=0), ZeroConv(5)], ids=["ConvNet", "ZeroConv"])
def test_a_config_makes_an_equal_one(net):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(net))
    assert again.get_config() == net.get_config()
    assert again.compute_output_shape((None, 4, 3, 2)) == (None, 4, 3, 5)


def test_numbers_that_are_none():
    with pytest.raises(ValueError, match="`num_outputs` must be at least 1"):
        ZeroConv(0)
