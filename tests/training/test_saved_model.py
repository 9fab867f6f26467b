"""What TensorFlow and Keras make of a `FlowModel` that is to be served."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.conformance.cases import in_unit_interval

tfd = tfp.distributions


def flow(**arguments):
    return nvp.RealNVP([2], num_layers=2, hidden_units=[4], seed=0, **arguments)


@pytest.mark.parametrize("is_fitted", [False, True])
def test_keras_export_names_the_function_to_call(is_fitted, make_model, x, tmp_path):
    model = make_model()
    if is_fitted:
        model.fit(x, epochs=1, verbose=0)
    for arguments in ({}, {"format": "tf_saved_model"}, {"verbose": False}):
        with pytest.raises(NotImplementedError, match=r"call `tfp_nvp\.export\(model, '.*moons'\)`"):
            model.export(tmp_path / "moons", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_saved_model_has_the_signature_that_servers_ask_first(make_model, x, tmp_path):
    model = make_model()
    model.fit(x, epochs=1, verbose=0)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert list(loaded.signatures) == ["serving_default"]
    found = loaded.signatures["serving_default"](x=tf.constant(x[:5], tf.float32))
    assert list(found) == ["log_prob"]
    np.testing.assert_allclose(found["log_prob"], model.log_prob(x[:5]), rtol=1e-5)
    exported = nvp.serving.load(nvp.export(model, tmp_path / "exported", verify=False))
    np.testing.assert_allclose(found["log_prob"], exported.log_prob(x[:5]), rtol=1e-5)


@pytest.mark.parametrize("encoder", [None, lambda: keras.Sequential([keras.Input([5]), keras.layers.Dense(3)])])
def test_its_condition_is_the_raw_one(encoder, rng, tmp_path):
    model = nvp.FlowModel(flow(condition_shape=[3]), encoder and encoder())
    tf.saved_model.save(model, str(tmp_path))
    c, x = rng.normal(size=(4, 5 if encoder else 3)).astype("float32"), rng.normal(size=(4, 2)).astype("float32")
    signature = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    found = signature(x=tf.constant(x), condition=tf.constant(c))["log_prob"]
    np.testing.assert_allclose(found, model.log_prob(x, condition=c), rtol=1e-5)


def test_a_stock_distribution(tmp_path):
    model = nvp.FlowModel(tfd.MultivariateNormalDiag(tf.Variable([1.0, 2.0]), [1.0, 3.0]))
    tf.saved_model.save(model, str(tmp_path))
    found = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](x=tf.zeros([1, 2]))["log_prob"]
    np.testing.assert_allclose(found, model.log_prob(tf.zeros([1, 2])), rtol=1e-6)


def two_inputs():
    a, b = keras.Input([1], name="a"), keras.Input([2], name="b")
    return keras.Model({"a": a, "b": b}, keras.layers.Concatenate()([a, b]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nvp.FlowModel(nvp.Dequantized(in_unit_interval(flow()), levels=4)),
        lambda: nvp.FlowModel(flow(condition_shape=[3]), keras.layers.Dense(3)),
        lambda: nvp.FlowModel(flow(condition_shape=[3]), two_inputs()),
    ],
)
def test_where_there_is_none_a_warning_says_what_to_call(make, tmp_path):
    with pytest.warns(UserWarning, match=r"no signature in a SavedModel.*Use `tfp_nvp\.export\(model, path\)`"):
        tf.saved_model.save(make(), str(tmp_path))
    assert not tf.saved_model.load(str(tmp_path)).signatures


def test_a_module_that_holds_a_model_has_its_own_signatures(tmp_path):
    module = tf.Module()
    module.model = nvp.FlowModel(flow())
    spec = tf.TensorSpec([None, 2], name="x")
    twice = tf.function(lambda x: {"y": 2.0 * module.model.log_prob(x)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path), signatures={"twice": twice})
    assert list(tf.saved_model.load(str(tmp_path)).signatures) == ["twice"]
