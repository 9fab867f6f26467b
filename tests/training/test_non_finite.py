import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp import bijectors

tfd = tfp.distributions


class Overflowing(bijectors.Bijector):
    """x = z, until its weight, driven upwards by the likelihood, has passed 0.5: then NaN."""

    def __init__(self, name="overflowing"):
        super().__init__(event_shape=(2,), dtype="float32", parameters=dict(locals()), name=name)
        self.weight = tf.Variable(0.0)

    def _forward_and_log_det(self, z, condition):
        return z, -self.weight

    def _inverse_and_log_det(self, x, condition):
        bad = tf.where(self.weight > 0.5, np.float32(np.nan), np.float32(0.0))
        return x + bad, self.weight


@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_stops_names_the_layer_and_keeps_finite_weights(jit_compile, x):
    flow = nvp.Flow(
        tfd.MultivariateNormalDiag(tf.zeros(2)),
        bijectors.Chain([bijectors.ActNorm([2]), Overflowing(), bijectors.ActNorm([2], name="inner")]),
    )
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.SGD(0.2), jit_compile=jit_compile)
    with pytest.warns(RuntimeWarning, match="layer 2 of 4 on the way from the data, `overflowing`"):
        history = model.fit(x / 10, batch_size=64, epochs=20, verbose=0).history
    assert len(history["loss"]) == 1
    assert all(np.isfinite(v).all() for v in flow.variables)
    weight = float(flow.bijector.bijectors[1].weight)
    assert 0.5 < weight < 0.8  # the step that passed 0.5 was finite and is kept


def test_data_that_turn_bad_midway_are_named(make_model, x):
    bad = x.copy()
    bad[200] = np.nan
    model = make_model()
    with pytest.warns(RuntimeWarning, match="First not finite: the data"):
        model.fit(tf.data.Dataset.from_tensor_slices(bad).batch(64), epochs=2, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations) == 3
    assert np.isfinite(model.log_prob(x)).all()


def test_a_gradient_that_is_not_finite_is_not_applied(x):
    class Root(bijectors.Bijector):
        """Finite everywhere, with an infinite gradient for its weight at zero."""

        def __init__(self):
            super().__init__(event_shape=(2,), dtype="float32", parameters=dict(locals()), name="root")
            self.weight = tf.Variable(0.0)

        def _inverse_and_log_det(self, x, condition):
            return x, tf.sqrt(self.weight)

    flow = nvp.Flow(tfd.MultivariateNormalDiag(tf.zeros(2)), Root())
    model = nvp.FlowModel(flow)
    model.compile("sgd")
    with pytest.warns(RuntimeWarning, match="the gradient of"):
        model.fit(x, epochs=1, verbose=0)
    assert float(flow.bijector.weight) == 0.0


def test_an_encoder_is_named_where_it_is_the_first(make_flow, x):
    class Dividing(keras.layers.Layer):
        def call(self, inputs):
            return inputs / (inputs - inputs)

    model = nvp.FlowModel(make_flow(condition_shape=[1]), encoder=Dividing(name="dividing"))
    model.distribution.initialize(x, x[:, :1])
    model.compile()
    with pytest.warns(RuntimeWarning, match="`dividing`"):
        model.fit(x[:, :1], x, epochs=1, verbose=0)
