import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import InvertibleLinear


@pytest.fixture
def layer(rng) -> InvertibleLinear:
    layer = InvertibleLinear([6], seed=2, dtype="float64")
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return layer


def test_its_log_det_is_that_of_the_dense_matrix(layer):
    matrix = layer.inverse(tf.eye(6, dtype=tf.float64)).numpy().T
    log_det = np.linalg.slogdet(matrix).logabsdet
    np.testing.assert_allclose(layer.inverse_and_log_det(tf.zeros([6], tf.float64))[1], log_det, rtol=1e-10)
    np.testing.assert_allclose(layer.forward_and_log_det(tf.zeros([6], tf.float64))[1], -log_det, rtol=1e-10)


def test_forward_is_the_inverse_matrix(layer):
    matrix = layer.inverse(tf.eye(6, dtype=tf.float64)).numpy().T
    forward = layer.forward(tf.eye(6, dtype=tf.float64)).numpy().T
    np.testing.assert_allclose(forward @ matrix, np.eye(6), atol=1e-9)


def test_it_starts_as_a_permutation(rng):
    x = rng.normal(size=6).astype(np.float32)
    z = InvertibleLinear([6], seed=2).inverse(x).numpy()
    assert sorted(z) == sorted(x)
    assert (z != x).any()


def test_without_a_seed_it_starts_as_the_identity(rng):
    x = rng.normal(size=(4, 6)).astype(np.float32)
    np.testing.assert_array_equal(InvertibleLinear([6]).inverse(x), x)


def test_only_vectors_can_be_mapped():
    with pytest.raises(ValueError, match=r"`event_shape` must be \[d\]"):
        InvertibleLinear([2, 3])
