"""Flows and bijectors as parts of a user's own Keras models and layers."""

import copy
import io

import joblib
import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.training.small import small

tfb, tfd = tfp.bijectors, tfp.distributions


@keras.saving.register_keras_serializable("tests")
class Own(keras.Model):
    """A network in front of a flow, trained by its likelihood."""

    def __init__(self, flow: nvp.Flow, **kwargs):
        super().__init__(**kwargs)
        self.front = keras.layers.Dense(2)
        self.flow = flow

    def call(self, x):
        return self.flow.log_prob(self.front(x))

    def get_config(self):
        return super().get_config() | {"flow": keras.saving.serialize_keras_object(self.flow)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "flow": keras.saving.deserialize_keras_object(config["flow"])})


def negative_mean(_, log_prob):
    return -tf.reduce_mean(log_prob)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_moves_every_weight_of_a_flow_in_a_users_model(x, make_flow, jit_compile):
    model = Own(make_flow(transformer=nvp.transformers.RationalQuadratic(num_bins=3)))
    model.compile(keras.optimizers.Adam(1e-2), loss=negative_mean, jit_compile=jit_compile)
    model.fit(x, x, batch_size=64, epochs=1, verbose=0)
    before = [variable.numpy() for variable in model.trainable_variables]
    model.fit(x, x, batch_size=64, epochs=1, verbose=0)
    assert len(before) == 2 + len(model.flow.trainable_variables)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.trainable_variables, strict=True))


def test_a_users_model_is_saved_with_the_flow_and_what_is_frozen_in_it(x, make_flow, tmp_path):
    model = Own(make_flow())
    model.flow.bijector.bijectors[1].trainable = False
    model.compile(loss=negative_mean)
    model.fit(x, x, epochs=1, verbose=0)
    model.save(tmp_path / "own.keras")
    loaded = keras.saving.load_model(tmp_path / "own.keras", custom_objects={"negative_mean": negative_mean})
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-5)
    assert len(loaded.trainable_variables) == len(model.trainable_variables) == 2 + 8


def test_layers_hold_bijectors_and_bases_in_lists_and_dicts():
    class Held(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.maf = nvp.MAF([3], num_layers=1, hidden_units=[8])
            self.parts = {"scale": [nvp.bijectors.ActNorm([3])]}
            self.chain = tfb.Chain([nvp.bijectors.ActNorm([3])])  # a stock module: TFP's, not Keras' to see

    layer = Held()
    assert len(layer.trainable_variables) == len(layer.maf.trainable_variables) + 2


def test_a_stock_module_that_holds_ours_sees_its_weights(make_flow):
    flow = make_flow()
    inside = tfd.TransformedDistribution(flow.distribution, tfb.Chain([flow.bijector, tfb.Scale(tf.Variable(1.0))]))
    assert len(inside.trainable_variables) == len(flow.trainable_variables) + 1
    model = nvp.FlowModel(nvp.Flow(flow.distribution, inside.bijector))
    assert len(model.trainable_variables) == len(flow.trainable_variables) + 1


def test_variables_that_two_parts_share_are_one_weight():
    shared = tf.Variable(2.0)
    flow = nvp.Flow(tfd.Sample(tfd.Normal(shared, 1.0), 2), nvp.bijectors.Chain([tfb.Shift(shared), tfb.Scale(shared)]))
    assert len(flow.variables) == len(nvp.FlowModel(flow).variables) == 1


@pytest.mark.parametrize("change", ["low-rank adapter", "quantized"])
def test_adapters_and_quantized_layers_are_what_everybody_sees(x, make_flow, change, tmp_path):
    flow = make_flow()
    flow.initialize(x)
    layer = flow.bijector.bijectors[1].conditioner.hidden_layers[0]
    if change == "quantized":
        layer.quantize("int8")
    else:
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(tf.ones_like(layer.lora_kernel_b))
    model = nvp.FlowModel(flow)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(flow.log_prob(x))
    assert all(gradient is not None for gradient in tape.gradient(loss, flow.trainable_variables))
    assert len(model.trainable_variables) == len(flow.trainable_variables)
    np.testing.assert_allclose(flow.decode(flow.encode(x)[0])[0], x, atol=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").distribution
    for other in (copy.deepcopy(flow), loaded):
        np.testing.assert_allclose(other.log_prob(x), flow.log_prob(x), rtol=1e-5)
        assert len(other.trainable_variables) == len(flow.trainable_variables)


def test_copies_of_a_fitted_model_are_alive(rng, tmp_path):
    x = rng.normal(size=(100, 2))
    model = nvp.fit(x, flow=small, epochs=1, seed=0, verbose=0)
    stream = io.BytesIO()
    joblib.dump(model.distribution, stream)
    stream.seek(0)
    for flow in (copy.deepcopy(model.distribution), joblib.load(stream), copy.deepcopy(model).distribution):
        np.testing.assert_allclose(flow.log_prob(x), model.log_prob(x), rtol=1e-5)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(flow.log_prob(x))
        assert all(gradient is not None for gradient in tape.gradient(loss, flow.trainable_variables))
        path = tf.train.Checkpoint(flow=model.distribution).write(str(tmp_path / "checkpoint"))
        flow.trainable_variables[0].assign_add(tf.ones_like(flow.trainable_variables[0]))
        tf.train.Checkpoint(flow=flow).read(path).assert_consumed()
        np.testing.assert_allclose(flow.log_prob(x), model.log_prob(x), rtol=1e-5)


@pytest.mark.parametrize("base", [tfd.MultivariateNormalDiag, tfd.MultivariateNormalTriL])
def test_copies_of_a_flow_with_a_stock_base(base, rng):
    flow = nvp.MAF([2], num_layers=1, hidden_units=[8], base=base(tf.Variable(tf.ones(2)), None))
    flow.distribution.loc.assign([1.0, -2.0])
    other = copy.deepcopy(flow)
    np.testing.assert_allclose(other.log_prob([[0.0, 1.0]]), flow.log_prob([[0.0, 1.0]]), rtol=1e-6)
    assert len(other.trainable_variables) == len(flow.trainable_variables)


def test_tfps_optimizers_take_the_trainable_variables(x, make_flow):
    flow = make_flow()
    flow.initialize(x)
    losses = tfp.math.minimize(
        lambda: -tf.reduce_mean(flow.log_prob(x)),
        3,
        keras.optimizers.Adam(1e-2),
        trainable_variables=flow.trainable_variables,
    )
    assert losses[-1] < losses[0]


def test_a_users_bijector_has_nothing_to_remember(tmp_path, x):
    class Mine(nvp.bijectors.Bijector):
        def __init__(self, size):
            super().__init__(forward_min_event_ndims=1, inverse_min_event_ndims=1)
            self.scales = [tf.Variable(tf.ones(size)), {"more": tf.Variable(tf.ones(size))}]

        def _forward_and_log_det(self, z, condition):
            scale = self.scales[0] * self.scales[1]["more"]
            return z * scale, tf.reduce_sum(tf.math.log(scale))

        def _inverse_and_log_det(self, x, condition):
            scale = self.scales[0] * self.scales[1]["more"]
            return x / scale, -tf.reduce_sum(tf.math.log(scale))

    flow = nvp.Flow(nvp.distributions.StandardNormal([2]), Mine(2))
    other = copy.deepcopy(flow)
    flow.trainable_variables[0].assign([3.0, 3.0])
    assert other.bijector.parameters == {"size": 2}
    assert [len(module.trainable_variables) for module in (flow, other, nvp.FlowModel(flow))] == [2, 2, 2]
    assert not np.allclose(other.log_prob(x), flow.log_prob(x))
    nvp.testing.check_flow(flow, x)


@keras.saving.register_keras_serializable("tests")
class Keywords(nvp.RealNVP):
    """A user's recipe that passes arguments on."""

    def __init__(self, event_shape, **keywords):
        super().__init__(event_shape, num_layers=1, hidden_units=[4], **keywords)


@keras.saving.register_keras_serializable("tests")
class Positions(nvp.RealNVP):
    """A user's recipe that passes arguments on by position."""

    def __init__(self, *positions, **keywords):
        super().__init__(*positions, num_layers=1, hidden_units=[4], **keywords)


@pytest.mark.parametrize("recipe", [Keywords, Positions])
def test_arguments_that_are_passed_on_are_kept(recipe, x, tmp_path):
    base = tfd.MultivariateNormalDiag(tf.constant([1.0, 2.0]), tf.constant([1.0, 3.0]))
    flow = recipe([2], base=base, condition_shape=[1])
    model, condition = nvp.FlowModel(flow), np.ones((256, 1), np.float32)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").distribution
    for other in (copy.deepcopy(flow), loaded):
        np.testing.assert_array_equal(other.log_prob(x, condition=condition), flow.log_prob(x, condition=condition))


class Shifts(nvp.bijectors.Bijector):
    """Variables that come into containers after these were set."""

    def __init__(self):
        super().__init__(min_event_ndims=1)
        self.shifts, self.named = [], {}
        self.shifts.append(tf.Variable([0.5, 0.5]))
        self.shifts += [tfb.Shift(tf.Variable([1.0, 1.0]))]
        self.named["last"] = tf.Variable([2.0, 2.0])

    def _shift(self):
        return self.shifts[0] + self.shifts[1].shift + self.named["last"]

    def _forward_and_log_det(self, z, condition):
        return z + self._shift(), tf.zeros([])

    def _inverse_and_log_det(self, x, condition):
        return x - self._shift(), tf.zeros([])


def test_variables_in_containers_that_grow_are_weights(x):
    flow = nvp.Flow(nvp.distributions.StandardNormal([2]), Shifts())
    assert len(flow.trainable_variables) == 3
    flow.bijector.named["last"].assign([9.0, -9.0])
    np.testing.assert_array_equal(copy.deepcopy(flow).log_prob(x), flow.log_prob(x))


def test_variables_that_are_replaced_or_deleted_are_no_weights_any_more():
    layer = Shifts()
    layer.named = {"last": tf.Variable([4.0, 4.0])}
    assert len(layer.trainable_variables) == 3
    assert copy.deepcopy(layer).named["last"].numpy().tolist() == [4.0, 4.0]
    layer.extra = tf.Variable(1.0)
    with pytest.raises(ValueError, match="weights that its constructor does not make"):
        copy.deepcopy(layer)
    del layer.extra
    assert len(layer.trainable_variables) == 3
    copy.deepcopy(layer)


def test_a_stock_flow_of_tfps_own_networks_that_are_built_late(x):
    network = tfb.AutoregressiveNetwork(params=2, event_shape=[2], hidden_units=[4])
    flow = nvp.Flow(nvp.distributions.StandardNormal([2]), tfb.MaskedAutoregressiveFlow(network))
    flow.log_prob(x)
    assert len(flow.trainable_variables) == len(network.trainable_variables) == 4
    assert len(nvp.FlowModel(flow).trainable_variables) == 4
