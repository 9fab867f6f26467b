import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import ActNorm


@pytest.mark.parametrize("event_shape", [(3,), (4, 4, 3)])
def test_initialized_data_has_mean_zero_and_variance_one(rng, event_shape: tuple):
    layer = ActNorm(event_shape)
    x = (rng.normal(size=(200, *event_shape)) * [0.01, 1.0, 100.0] + [5.0, -3.0, 1e3]).astype(np.float32)
    layer.initialize(tf.constant(x))
    z = layer.inverse(x).numpy().reshape(-1, 3)
    np.testing.assert_allclose(z.mean(0), 0.0, atol=1e-3)
    np.testing.assert_allclose(z.var(0), 1.0, rtol=1e-3)


def test_far_off_data_is_standardized_exactly(rng):
    layer = ActNorm([1], dtype="float64")
    x = tf.constant(1e6 + rng.normal(size=(500, 1)))
    layer.initialize(x)
    z = layer.inverse(x).numpy()
    np.testing.assert_allclose([z.mean(), z.var()], [0.0, 1.0], atol=1e-8)


def test_a_constant_element_gets_scale_one():
    layer = ActNorm([2])
    layer.initialize(tf.constant([[0.1, 1.0], [0.1, 3.0]]))
    np.testing.assert_allclose(layer.inverse([0.1, 2.0]), [0.0, 0.0], atol=1e-6)
    assert float(layer.log_scale[0]) == 0.0


def test_until_initialized_it_is_the_identity_and_says_so(rng):
    layer, x = ActNorm([3]), rng.normal(size=(5, 3)).astype(np.float32)
    assert not layer.is_initialized
    np.testing.assert_array_equal(layer.forward(x), x)
    layer.initialize(tf.constant(x))
    assert layer.is_initialized


def test_pixels_count_in_the_log_det():
    layer = ActNorm([2, 5, 3])
    layer.log_scale.assign([0.1, 0.2, 0.3])
    assert float(layer.forward_and_log_det(tf.zeros([2, 5, 3]))[1]) == pytest.approx(2 * 5 * 0.6, rel=1e-6)


def test_a_fixed_standardization_trains_nothing(rng):
    layer = ActNorm([3], trainable=False)
    assert not layer.trainable_variables
    assert len(layer.variables) == 3
