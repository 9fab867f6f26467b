import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors import ActNorm, Invert

tfb = tfp.bijectors


def test_it_swaps_directions_and_log_dets(rng):
    inner = ActNorm([3])
    inner.initialize(tf.constant(rng.normal(size=(9, 3)), tf.float32))
    value = rng.normal(size=(4, 3)).astype(np.float32)
    for ours, theirs in (
        (Invert(inner).forward_and_log_det, inner.inverse_and_log_det),
        (Invert(inner).inverse_and_log_det, inner.forward_and_log_det),
    ):
        for result, right in zip(ours(value), theirs(value), strict=True):
            np.testing.assert_array_equal(result, right)


def test_shapes_swap_too():
    reshape = Invert(tfb.Reshape(event_shape_out=[2, 2], event_shape_in=[4]))
    assert (reshape.forward_min_event_ndims, reshape.inverse_min_event_ndims) == (2, 1)
    assert reshape.forward_event_shape([2, 2]) == [4]
    assert reshape.inverse_event_shape([4]) == [2, 2]
    np.testing.assert_array_equal(reshape.forward_event_shape_tensor([2, 2]), [4])
    np.testing.assert_array_equal(reshape.inverse_event_shape_tensor([4]), [2, 2])


def test_data_on_the_other_side_can_not_initialize_it():
    layer = Invert(ActNorm([1]))
    with pytest.raises(ValueError, match="Initialize it before inverting it"):
        layer.initialize(tf.ones([3, 1]))
    layer.bijector.initialize(tf.constant([[1.0], [2.0]]))
    layer.initialize(tf.ones([3, 1]))
    assert layer.is_initialized
