import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import Sinh


def test_it_is_a_hyperbolic_sine_where_the_mask_says(rng):
    z = rng.normal(size=(10, 3))
    x, log_det = Sinh([True, False, True], dtype="float64").forward_and_log_det(z)
    np.testing.assert_allclose(x, np.where([True, False, True], np.sinh(z), z))
    np.testing.assert_allclose(log_det, np.log(np.cosh(z[:, [0, 2]])).sum(-1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outliers_come_within_reach(dtype: str):
    x = np.asarray([-1e30, -1e9, -1e8, 0.0, 1e7, 1e8, 1e30], dtype)
    value = tf.constant(x[:, np.newaxis])
    with tf.GradientTape() as tape:
        tape.watch(value)
        z, log_det = Sinh([True], dtype=dtype).inverse_and_log_det(value)
        total = tf.reduce_sum(z) + tf.reduce_sum(log_det)
    np.testing.assert_allclose(z[:, 0], np.arcsinh(x.astype(np.float64)), rtol=1e-5)
    np.testing.assert_allclose(
        log_det, -np.logaddexp(0.0, -2.0 * np.abs(z[:, 0])) - np.abs(z[:, 0]) + np.log(2.0), rtol=1e-5, atol=1e-6
    )
    assert np.isfinite(tape.gradient(total, value)).all()


@pytest.mark.parametrize("mask", [["a", "b"], [[True]], True])
def test_the_mask_must_be_a_vector_of_booleans(mask):
    with pytest.raises(TypeError, match="`mask` must be a vector of booleans"):
        Sinh(mask)


def test_the_mask_may_be_of_numbers():
    x = tf.constant([3.0, 3.0])
    np.testing.assert_array_equal(Sinh([1, 0]).inverse(x), Sinh([True, False]).inverse(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_directions_agree_up_to_the_limit_and_beyond(dtype: str):
    limit = {"float32": 86.6, "float64": 707.6}[dtype]
    most = np.finfo(dtype).max
    z = np.append(np.linspace(-1.2 * limit, 1.2 * limit, 1001), [-most, most]).astype(dtype)[:, np.newaxis]
    layer = Sinh([True], dtype=dtype)
    x, log_det = layer.forward_and_log_det(z)
    assert np.isfinite(x).all()
    back, inverse_log_det = layer.inverse_and_log_det(tf.identity(x))
    held = np.clip(z, back.numpy().min(), back.numpy().max())
    assert np.abs(held).max() > limit
    tolerance = 8 * np.finfo(dtype).eps * (1 + np.abs(held))
    assert (np.abs(back - held) <= tolerance).all()
    assert (np.abs(log_det + inverse_log_det) <= tolerance[:, 0]).all()
