import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import InvertibleLinear
from tfp_nvp.bijectors.invertible_linear import _orthogonal, _qr_factors


@pytest.fixture(params=["plu", "qr"])
def layer(rng, request) -> InvertibleLinear:
    layer = InvertibleLinear([6], seed=2, parametrization=request.param, dtype="float64")
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


@pytest.mark.parametrize("start", ["permutation", "orthogonal"])
@pytest.mark.parametrize("d", [1, 2, 7])
def test_both_factorizations_start_as_the_same_matrix(start, d, rng):
    x = rng.normal(size=(4, d))
    plu, qr = (
        InvertibleLinear([d], seed=2, start=start, parametrization=kind, dtype="float64") for kind in ("plu", "qr")
    )
    np.testing.assert_allclose(qr.inverse(x), plu.inverse(x), atol=1e-13)
    np.testing.assert_allclose(qr.forward(x), plu.forward(x), atol=1e-13)


def test_the_orthogonal_factor_is_the_product_of_reflections(rng):
    vectors = np.tril(rng.normal(size=(5, 5)), -1) + np.eye(5)
    product = np.eye(5)
    for v in vectors.T:
        product = product @ (np.eye(5) - 2.0 * np.outer(v, v) / (v @ v))
    found = _orthogonal(tf.constant(vectors)).numpy()
    np.testing.assert_allclose(found, product, atol=1e-13)
    np.testing.assert_allclose(found @ found.T, np.eye(5), atol=1e-13)


def test_any_regular_matrix_has_qr_factors(rng):
    for matrix in (rng.normal(size=(6, 6)), np.triu(rng.normal(size=(6, 6))), -np.eye(6), np.eye(6)[::-1]):
        signs, factors = _qr_factors(matrix)
        layer = InvertibleLinear([6], parametrization="qr", dtype="float64")
        layer._signs.assign(signs)
        layer.factors.assign(factors)
        np.testing.assert_allclose(layer.inverse(np.eye(6)).numpy().T, matrix, atol=1e-12)


@pytest.mark.parametrize("parametrization", ["plu", "qr"])
def test_without_a_seed_it_starts_as_the_identity(parametrization, rng):
    x = rng.normal(size=(4, 6)).astype(np.float32)
    layer = InvertibleLinear([6], parametrization=parametrization)
    np.testing.assert_allclose(layer.inverse(x), x, rtol=1e-6)


def test_only_vectors_can_be_mapped():
    with pytest.raises(ValueError, match=r"`event_shape` must be \[d\]"):
        InvertibleLinear([2, 3])
    with pytest.raises(ValueError, match="`parametrization` must be one of 'plu', 'qr'; got 'svd'"):
        InvertibleLinear([2], parametrization="svd")
