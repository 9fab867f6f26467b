"""Each weight has one owner: Keras models, copies, pickles and frozen layers see the same weights as the object."""

import copy
import pickle
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.cases import CASES, Case, built, data, each, randomized, results

each_case = pytest.mark.parametrize("case", each(CASES))


class Holder(keras.Model):
    """A user's model that holds an object as attribute, in a list or in a dict, behind a layer of its own."""

    def __init__(self, module, container: str):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.held = {"attribute": module, "list": [module], "dict": {"key": [module]}}[container]
        self.dense.build((None, 1))
        self.built = True


def total(case: Case, module) -> tf.Tensor:
    """A number that depends on what a module computes of a case's data."""
    x, condition = data(case)
    keywords = {} if condition is None else {"condition": condition}
    if hasattr(module, "log_prob"):
        return tf.reduce_sum(module.log_prob(x, **keywords))
    value, log_det = module.inverse_and_log_det(x, **keywords)
    return tf.reduce_sum(value) + tf.reduce_sum(log_det)


@each_case
def test_a_keras_model_that_holds_it_trains_counts_and_saves_its_weights(case: Case, tmp_path):
    container = ("attribute", "list", "dict")[zlib.crc32(case.name.encode()) % 3]
    module = randomized(case.make("float32"))
    model = Holder(module, container)
    assert {id(v.value) for v in model.trainable_variables} >= {id(v) for v in module.trainable_variables}
    assert len(model.trainable_variables) == 2 + len(module.trainable_variables)
    assert len(model.variables) == 2 + len(module.variables)
    assert model.count_params() == 2 + sum(int(np.prod(v.shape)) for v in module.variables)
    model.save_weights(tmp_path / "saved.weights.h5")
    before = results(case, module)
    if module.trainable_variables:
        with tf.GradientTape() as tape:
            loss = total(case, module)
        gradients = tape.gradient(loss, model.trainable_variables[2:])
        optimizer = keras.optimizers.SGD(1e-2)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables[2:], strict=True))
    other = Holder(case.make("float32"), container)
    other.load_weights(tmp_path / "saved.weights.h5")
    restored = {"attribute": lambda: other.held, "list": lambda: other.held[0], "dict": lambda: other.held["key"][0]}
    for value, right in zip(results(case, restored[container]()), before, strict=True):
        np.testing.assert_array_equal(value, right)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
@each_case
def test_a_deep_copy_and_a_pickle_have_live_weights_of_their_own(case: Case, duplicate):
    module = built(case)
    other = duplicate(module)
    for value, right in zip(results(case, other), results(case, module), strict=True):
        np.testing.assert_array_equal(value, right)
    assert not {id(v) for v in other.variables} & {id(v) for v in module.variables}
    with tf.GradientTape() as tape:
        loss = total(case, other)
    assert all(gradient is not None for gradient in tape.gradient(loss, other.trainable_variables))


@each_case
def test_frozen_weights_are_frozen_for_everybody_and_stay_so(case: Case):
    module = case.make("float32")
    model, layer = Holder(module, "attribute"), next(iter(module._layers), module)
    count, inner = len(module.trainable_variables), len(layer.trainable_variables)
    layer.trainable = False
    for frozen in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert len(frozen.trainable_variables) == count - inner
    assert len(model.trainable_variables) == 2 + count - inner
    layer.trainable = True
    module.trainable = False
    assert not module.trainable_variables
    assert len(model.trainable_variables) == 2
    module.trainable = True
    assert len(module.trainable_variables) == count
