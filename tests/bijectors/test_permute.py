import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors import Permute, Reverse


def test_it_permutes_as_tfps_does(rng):
    order = [3, 0, 2, 1]
    z = tf.constant(rng.normal(size=(5, 4)))
    np.testing.assert_array_equal(Permute(order).forward(z), tfp.bijectors.Permute(order).forward(z))
    np.testing.assert_array_equal(Permute(order).inverse(z), tfp.bijectors.Permute(order).inverse(z))


def test_reversing_is_its_own_inverse(rng):
    z = rng.normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(Reverse().forward(z), z[:, ::-1])
    np.testing.assert_array_equal(Reverse().inverse(z), z[:, ::-1])


def test_a_random_permutation_follows_its_seed():
    np.testing.assert_array_equal(Permute.random(20, 1).permutation, Permute.random(20, 1).permutation)
    assert (Permute.random(20, 1).permutation != Permute.random(20, 2).permutation).any()


@pytest.mark.parametrize("order", [[0, 0, 1], [1, 2, 3], [[0, 1]], [0.5, 1.0], [True, False], np.array([True, False])])
def test_what_is_no_permutation_is_refused(order):
    with pytest.raises((TypeError, ValueError), match=r"`permutation(\[0\])?` must"):
        Permute(order)
