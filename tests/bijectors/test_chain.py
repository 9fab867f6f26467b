import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import masks
from tfp_nvp.bijectors import ActNorm, Chain, Coupling, Elementwise, Reverse
from tfp_nvp.conditioners import MLP
from tfp_nvp.transformers import Affine, Shift

tfb = tfp.bijectors


class Counter(keras.layers.Layer):
    """A conditioner that counts its evaluations."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return 0.3 * inputs


def test_it_composes_in_the_order_of_tfps_chain(rng):
    parts = [tfb.Softplus(), tfb.Shift([1.0, 2.0, 3.0]), tfb.ScaleMatvecTriL(tf.eye(3) * 2.0), tfb.Tanh()]
    z = tf.constant(rng.normal(size=(5, 3)), tf.float32)
    x, log_det = Chain(parts).forward_and_log_det(z)
    np.testing.assert_allclose(x, tfb.Chain(parts).forward(z))
    np.testing.assert_allclose(log_det, tfb.Chain(parts).forward_log_det_jacobian(z, 1), rtol=1e-5)
    np.testing.assert_allclose(Chain(parts).inverse(x), tfb.Chain(parts).inverse(tf.identity(x)))


def test_each_network_is_evaluated_once_in_each_direction():
    counters = [Counter(), Counter()]
    chain = Chain([Coupling(Shift(), counter, masks.half(2)) for counter in counters])
    for direction in (chain.forward_and_log_det, chain.inverse_and_log_det):
        for counter in counters:
            counter.calls = 0
        direction(tf.ones([4, 2]))
        assert [counter.calls for counter in counters] == [1, 1]


def test_a_condition_goes_to_those_that_take_one(rng):
    coupling = Coupling(Affine(), MLP(4, hidden_units=[4], seed=0), masks.half(3), condition_shape=[2])
    coupling.conditioner.output_layer.kernel.assign(rng.normal(size=(4, 4)))
    chain = Chain([tfb.Shift([1.0, 1.0, 1.0]), coupling, Reverse()])
    x, c = tf.constant(rng.normal(size=(5, 3)), tf.float32), tf.constant(rng.normal(size=(5, 2)), tf.float32)
    np.testing.assert_allclose(chain.inverse(x, condition=c), coupling.inverse(x - 1.0, condition=c)[..., ::-1])
    assert chain.condition_shape == (2,)


def test_conditions_of_two_shapes_are_refused():
    two = [Coupling(Affine(), MLP(4), masks.half(3), condition_shape=[c]) for c in (1, 2)]
    with pytest.raises(ValueError, match="must agree on one condition shape"):
        Chain(two)


def test_its_events_have_the_least_rank_that_all_can_take():
    assert Chain([tfb.Exp(), Reverse()]).forward_min_event_ndims == 1
    assert Chain([tfb.Exp()]).forward_min_event_ndims == 0
    reshape = tfb.Reshape(event_shape_out=[2, 2], event_shape_in=[4])
    chain = Chain([reshape, Reverse()])
    assert (chain.forward_min_event_ndims, chain.inverse_min_event_ndims) == (1, 2)
    assert chain.forward_event_shape([4]) == [2, 2]
    assert chain.inverse_event_shape([2, 2]) == [4]
    np.testing.assert_array_equal(chain.forward_event_shape_tensor([4]), [2, 2])
    np.testing.assert_array_equal(chain.inverse_event_shape_tensor([2, 2]), [4])


def test_an_empty_chain_is_the_identity():
    x, log_det = Chain([]).forward_and_log_det(tf.constant([1.0, 2.0]), event_ndims=1)
    np.testing.assert_array_equal(x, [1.0, 2.0])
    assert float(log_det) == 0.0


def test_layers_are_initialized_from_the_data_on(rng):
    scale = Elementwise(Affine(), [2])
    scale.trainable_variables[0].assign([[3.0, 3.0], [1.0, 1.0]])
    chain = Chain([ActNorm([2]), scale, ActNorm([2])])
    x = tf.constant(5.0 + 2.0 * rng.normal(size=(100, 2)), tf.float32)
    assert not chain.is_initialized
    chain.initialize(x)
    assert chain.is_initialized
    z = chain.inverse(x)
    np.testing.assert_allclose(tf.reduce_mean(z, 0), 0.0, atol=1e-5)
    np.testing.assert_allclose(tf.math.reduce_std(z, 0), 1.0, rtol=1e-5)


def test_what_is_no_list_of_bijectors_is_refused():
    for value in (tfb.Exp(), [tfb.Exp(), 3]):
        with pytest.raises(TypeError, match="`bijectors` must be a list"):
            Chain(value)
