"""A flow knows the recipe that it is made of, wherever it goes."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp.distributions.fittable import as_fittable

tfb, tfd = tfp.bijectors, tfp.distributions


def wrapped():
    inner = nvp.RealNVP([2], num_layers=3, hidden_units=[4], seed=0)
    layers = nvp.bijectors.Chain([nvp.bijectors.ActNorm([2], trainable=False), inner.bijector])
    return inner, nvp.Flow(inner.distribution, layers, recipe=inner.recipe())


def test_a_recipe_has_its_name_and_arguments():
    recipe = nvp.RealNVP([2], num_layers=3, hidden_units=[4], seed=0).recipe()
    assert recipe["name"] == "RealNVP"
    assert recipe["arguments"].items() >= {"event_shape": [2], "num_layers": 3, "hidden_units": [4], "seed": 0}.items()
    assert "name" not in recipe["arguments"]
    assert json.loads(json.dumps(recipe, allow_nan=False)) == recipe


def test_any_other_distribution_has_its_class_and_parameters():
    assert as_fittable(tfd.TruncatedNormal(0.0, 1.0, -1.0, np.inf)).recipe()["name"] == "TruncatedNormal"
    flow = nvp.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfb.Exp())
    assert flow.recipe() == {"name": "Flow", "arguments": {"distribution": "SampleNormal", "bijector": "exp"}}


def test_it_adds_no_weights():
    inner, flow = wrapped()
    extra = len(flow.bijector.bijectors[0].variables)
    assert len(flow.variables) == len(inner.variables) + extra


@pytest.mark.parametrize("again", [
    copy.copy, copy.deepcopy, lambda flow: pickle.loads(pickle.dumps(flow)), lambda flow: flow.copy(),
    lambda flow: type(flow)(**flow.parameters),
])  # fmt: skip
def test_copies_keep_it(again):
    inner, flow = wrapped()
    other = again(flow)
    assert other.recipe() == flow.recipe() == inner.recipe()
    assert len(other.variables) == len(flow.variables)


def test_files_keep_it(tmp_path):
    inner, flow = wrapped()
    nvp.FlowModel(flow).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").distribution
    assert loaded.recipe() == inner.recipe()
    x = tf.constant([[0.5, -1.0]])
    np.testing.assert_array_equal(loaded.log_prob(x), flow.log_prob(x))


@pytest.mark.parametrize("recipe", ["RealNVP", {"arguments": {}}, {"name": "RealNVP"}, 3])
def test_what_is_no_recipe_is_refused(recipe):
    inner, flow = wrapped()
    with pytest.raises((TypeError, ValueError), match=r"`recipe` must be a dict of a `name` and `arguments`"):
        nvp.Flow(inner.distribution, flow.bijector, recipe=recipe)
