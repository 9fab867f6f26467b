import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors import Chain, Invert, Stock
from tfp_nvp.bijectors.stock import as_bijector

tfb = tfp.bijectors


@pytest.mark.parametrize(
    "bijector", [tfb.Softplus(), tfb.Scale([1.0, 2.0]), tfb.ScaleMatvecTriL([[1.0, 0.0], [3.0, 2.0]])]
)
def test_it_does_what_the_stock_one_does(bijector, rng):
    value = tf.constant(rng.uniform(0.5, 2.0, size=(4, 2)), tf.float32)
    x, log_det = Stock(bijector).forward_and_log_det(value, event_ndims=1)
    np.testing.assert_allclose(x, bijector.forward(value))
    np.testing.assert_allclose(log_det, np.broadcast_to(bijector.forward_log_det_jacobian(value, 1), [4]))


@pytest.mark.parametrize("wrap", [Stock, lambda b: Chain([b]), lambda b: Invert(Invert(b))])
def test_the_stock_ones_cache_does_not_answer(wrap):
    scale = tf.Variable(1.0)
    wrapped, x = wrap(tfb.Scale(scale)), tf.constant([2.0])
    before = wrapped.inverse(x)
    scale.assign(4.0)
    np.testing.assert_array_equal(before, [2.0])
    np.testing.assert_array_equal(wrapped.inverse(x), [0.5])


def test_a_wrong_inverse_is_not_hidden():
    wrong = tfb.Inline(lambda z: 2.0 * z, lambda x: x / 3.0, lambda x: 0.0 * x, forward_min_event_ndims=0)
    np.testing.assert_allclose(Stock(wrong).inverse(Stock(wrong).forward(tf.constant([3.0]))), [2.0])


def test_ours_are_not_wrapped():
    ours = Stock(tfb.Exp())
    assert as_bijector(ours) is ours
    assert as_bijector(ours.bijector).bijector is ours.bijector


@pytest.mark.parametrize("bijector", [tfb.AbsoluteValue(), tfb.JointMap([tfb.Exp(), tfb.Exp()]), tfb.Split(2)])
def test_what_is_no_injection_of_one_tensor_is_refused(bijector):
    with pytest.raises(TypeError, match="must map one tensor to one tensor, injectively"):
        Stock(bijector)


def test_what_is_no_bijector_is_refused():
    with pytest.raises(TypeError, match=r"must be a tfb\.Bijector"):
        Stock(tf.exp)
