import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.transformers import Affine


def test_known_values():
    """s = 3 tanh(1.5 / 3), x = 2 exp(s) + 1."""
    s = 3.0 * math.tanh(0.5)
    x, log_det = Affine().forward(tf.constant([2.0]), tf.constant([[1.0], [1.5]]))
    assert float(log_det[0]) == pytest.approx(s)
    assert float(x[0]) == pytest.approx(2.0 * math.exp(s) + 1.0)


def test_zeros_give_the_identity():
    x, log_det = Affine().forward(tf.constant([2.0]), tf.zeros([2, 1]))
    assert (float(x[0]), float(log_det[0])) == (2.0, 0.0)


def test_near_zero_the_raw_number_is_the_log_scale():
    _, log_det = Affine().forward(tf.constant([0.0]), tf.constant([[0.0], [0.01]]))
    assert float(log_det[0]) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("raw", [-1e30, -50.0, 50.0, 1e30])
def test_the_log_scale_stays_within_the_bound(raw: float):
    x, log_det = Affine(bound=2.0).forward(tf.constant([1.0]), tf.constant([[0.0], [raw]]))
    assert abs(float(log_det[0])) <= 2.0
    assert float(x[0]) == pytest.approx(math.exp(math.copysign(2.0, raw)))


def test_the_bound_must_be_positive():
    with pytest.raises(ValueError, match="`bound` must be positive"):
        Affine(bound=0.0)


def test_the_log_det_has_the_values_shape_when_raw_numbers_broadcast():
    for direction in (Affine().forward, Affine().inverse):
        assert direction(tf.ones([5, 3]), tf.ones([2, 3]))[1].shape == [5, 3]


def test_inverse_undoes_forward(rng):
    raw = tf.constant(3.0 * rng.normal(size=(2, 50)))
    z = tf.constant(rng.normal(size=50))
    x, forward_log_det = Affine().forward(z, raw)
    back, inverse_log_det = Affine().inverse(tf.identity(x), raw)
    np.testing.assert_allclose(back, z, rtol=1e-10)
    np.testing.assert_allclose(inverse_log_det, -forward_log_det)
