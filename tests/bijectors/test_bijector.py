import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp._watch import watch_steps
from tfp_nvp.bijectors import Bijector, Chain, Elementwise
from tfp_nvp.transformers import Affine

tfb = tfp.bijectors


class Scale(Bijector):
    """x = exp(s) z for each element, that counts its evaluations."""

    def __init__(self, name: str = "scale"):
        parameters = dict(locals())
        super().__init__(min_event_ndims=0, dtype="float32", parameters=parameters, name=name)
        self.log_scale = tf.Variable(0.5)
        self.calls = self._no_dependency([])

    def _forward_and_log_det(self, z, condition):
        self.calls.append("forward")
        return z * tf.exp(self.log_scale), self.log_scale

    def _inverse_and_log_det(self, x, condition):
        self.calls.append("inverse")
        return x * tf.exp(-self.log_scale), -self.log_scale


class Unfinished(Bijector):
    def __init__(self):
        super().__init__(min_event_ndims=0, parameters={})


@pytest.mark.parametrize("event_ndims", [0, 1, 2])
def test_log_dets_are_summed_over_the_events_dimensions(event_ndims: int):
    value = tf.ones([2, 3, 4])
    right = np.full(value.shape[: 3 - event_ndims], 0.5 * math.prod(value.shape[3 - event_ndims :]))
    np.testing.assert_allclose(Scale().forward_log_det_jacobian(value, event_ndims=event_ndims), right)
    np.testing.assert_allclose(Scale().inverse_log_det_jacobian(value, event_ndims=event_ndims), -right)
    np.testing.assert_allclose(Scale().forward_and_log_det(value, event_ndims=event_ndims)[1], right)
    np.testing.assert_allclose(Scale().inverse_and_log_det(value, event_ndims=event_ndims)[1], -right)


@pytest.mark.parametrize("event_ndims", [0, 3])
def test_events_of_an_impossible_rank_are_refused(event_ndims: int):
    layer = Elementwise(Affine(), [3])
    with pytest.raises(ValueError, match="`event_ndims` must be at least 1"):
        layer.inverse_and_log_det(tf.ones([2, 3]), event_ndims=event_ndims)


def test_value_and_log_det_come_from_one_evaluation():
    layer = Scale()
    layer.forward_and_log_det(tf.ones([3]))
    layer.inverse_and_log_det(tf.ones([3]))
    assert layer.calls == ["forward", "inverse"]


@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: tfb.Invert(b), lambda b: tfb.Chain([b, tfb.Shift(0.0)])])
def test_no_result_is_remembered_whatever_wraps_it(wrap):
    layer = Scale()
    wrapped, value = wrap(layer), tf.constant([1.0])
    before = wrapped.inverse_log_det_jacobian(value, event_ndims=0)
    layer.log_scale.assign(2.0)
    after = wrapped.inverse_log_det_jacobian(value, event_ndims=0)
    assert abs(float(after[0])) == 2.0
    assert abs(float(before[0])) == 0.5


def test_the_inverse_of_a_result_is_computed():
    layer = Scale()
    layer.inverse(layer.forward(tf.constant([1.0])))
    assert layer.calls == ["forward", "inverse"]


def test_numbers_and_lists_are_taken_in_its_dtype():
    for value in (1, [1.0], np.ones([1], np.float64)[0], [[1, 2]]):
        assert Scale().forward(value).dtype == tf.float32


def test_a_missing_method_is_named():
    with pytest.raises(NotImplementedError, match=r"Unfinished must define `_forward_and_log_det"):
        Unfinished().forward(1.0)
    with pytest.raises(NotImplementedError, match=r"Unfinished must define `_inverse_and_log_det"):
        Unfinished().inverse(1.0)


def test_an_event_shape_or_rank_is_needed():
    with pytest.raises(ValueError, match="either `event_shape` or `min_event_ndims`"):
        Bijector(parameters={})


def test_each_watcher_sees_every_step_of_its_own_time():
    chain = Chain([Scale(), Scale()])
    with watch_steps() as outer:
        with watch_steps() as inner:
            chain.forward(1.0)
        chain.inverse(1.0)
    chain.forward(1.0)
    assert (len(inner), len(outer)) == (2, 4)
    assert outer[0].bijector is chain.bijectors[1]
    np.testing.assert_allclose(outer[1].value, math.e, rtol=1e-6)
