import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import Elementwise
from tfp_nvp.transformers import Affine, RationalQuadratic, Shift


@pytest.mark.parametrize("transformer", [Shift(), Affine(), RationalQuadratic()])
def test_it_starts_as_the_identity(rng, transformer):
    z = rng.normal(size=(4, 3)).astype(np.float32)
    x, log_det = Elementwise(transformer, [3]).forward_and_log_det(z)
    np.testing.assert_allclose(x, z, atol=1e-5)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-5)


def test_each_element_has_weights_of_its_own():
    layer = Elementwise(Shift(), [2, 3])
    layer.trainable_variables[0].assign(np.arange(6.0).reshape(1, 2, 3))
    np.testing.assert_array_equal(layer.forward(tf.zeros([5, 2, 3]))[0], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])


def test_a_scalar_event_has_one_log_det_each():
    layer = Elementwise(Affine(), [])
    layer.trainable_variables[0].assign([1.0, 0.5])
    assert layer.forward_and_log_det(tf.zeros([4]))[1].shape == [4]


def test_a_transformer_is_needed():
    with pytest.raises(TypeError, match="`transformer` must be a Transformer"):
        Elementwise("affine", [3])
