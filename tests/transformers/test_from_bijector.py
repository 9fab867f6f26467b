import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.transformers import FromBijector

tfb = tfp.bijectors


def sinh_arcsinh(raw):
    return tfb.SinhArcsinh(skewness=raw[0], tailweight=tf.math.softplus(raw[1]) + 0.1)


def test_it_does_what_the_bijector_does(rng):
    raw = tf.constant(rng.normal(size=(2, 7)))
    z = tf.constant(rng.normal(size=7))
    x, log_det = FromBijector(sinh_arcsinh, num_parameters=2).forward(z, raw)
    np.testing.assert_allclose(x, sinh_arcsinh(raw).forward(z))
    np.testing.assert_allclose(log_det, sinh_arcsinh(raw).forward_log_det_jacobian(z, 0))


def test_a_wrong_inverse_is_not_hidden_by_tfps_cache():
    shared = tfb.Inline(lambda z: 2.0 * z, lambda x: x / 3.0, lambda x: 0.0 * x, forward_min_event_ndims=0)
    transformer = FromBijector(lambda raw: shared, num_parameters=1)
    x, _ = transformer.forward(tf.constant([3.0]), tf.zeros([1, 1]))
    z, _ = transformer.inverse(x, tf.zeros([1, 1]))
    np.testing.assert_allclose(z, [2.0])


def test_a_constant_log_det_gets_the_values_shape():
    transformer = FromBijector(lambda raw: tfb.Scale(2.0), num_parameters=1)
    _, log_det = transformer.forward(tf.ones([4, 3]), tf.zeros([1, 4, 3]))
    assert log_det.shape == [4, 3]


@pytest.mark.parametrize("made", [lambda: tfb.Permute([1, 0]), lambda: 3])
def test_what_is_not_elementwise_is_refused(made):
    with pytest.raises(ValueError, match="must return an elementwise"):
        FromBijector(lambda raw: made(), num_parameters=1).forward(tf.ones([2]), tf.ones([1, 2]))


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="`bijector_fn` must be a function"):
        FromBijector(None, num_parameters=1)
    with pytest.raises(TypeError, match="`bijector_fn` must be a function"):
        FromBijector(3, num_parameters=1)
    with pytest.raises(ValueError, match="`num_parameters` must be at least 1"):
        FromBijector(sinh_arcsinh, num_parameters=0)
