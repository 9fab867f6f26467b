import numpy as np
import tensorflow as tf

from tfp_nvp.transformers import Shift


def test_it_adds_and_keeps_volume():
    x, log_det = Shift().forward(tf.constant([1.0, 2.0]), tf.constant([[0.5, -3.0]]))
    np.testing.assert_allclose(x, [1.5, -1.0])
    np.testing.assert_array_equal(log_det, [0.0, 0.0])


def test_the_inverse_subtracts():
    z, log_det = Shift().inverse(tf.constant([1.5, -1.0]), tf.constant([[0.5, -3.0]]))
    np.testing.assert_allclose(z, [1.0, 2.0])
    np.testing.assert_array_equal(log_det, [0.0, 0.0])
