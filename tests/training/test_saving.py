import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp import _serialization as serialization
from tfp_nvp import bijectors, conditioners, masks, transformers

tfb, tfd = tfp.bijectors, tfp.distributions


@keras.saving.register_keras_serializable("tests")
def scale_by_softplus(raw):
    return tfb.Scale(tf.math.softplus(raw[0]) + 0.1)


def composed():
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.Variable([0.1, 0.2])),
        tfd.MultivariateNormalDiag(tf.Variable([[0.0, 1.0], [1.0, 0.0]]), tf.ones([2, 2])),
    )
    network = keras.Sequential([keras.Input([1]), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)])
    layers = [
        tfb.Shift([1.0, 2.0]),
        bijectors.Invert(bijectors.Elementwise(transformers.RationalQuadratic(num_bins=4), [2])),
        bijectors.Coupling(transformers.FromBijector(scale_by_softplus, num_parameters=1), network, masks.half(2)),
        bijectors.Coupling(transformers.Affine(bound=2.0), conditioners.MLP(2, hidden_units=[4]), masks.half(2)),
        bijectors.InvertibleLinear([2], seed=3),
        bijectors.Permute([1, 0]),
        bijectors.Reverse(),
        bijectors.Support([-50.0, -np.inf], [50.0, np.inf]),
        bijectors.Sinh([True, False]),
        bijectors.ActNorm([2]),
    ]
    return nvp.Flow(mixture, bijectors.Chain(layers))


def trained_stock():
    scale = tfp.util.TransformedVariable([1.0, 2.0], tfb.Softplus())
    return tfd.TransformedDistribution(
        tfd.Independent(tfd.Normal(tf.Variable([0.5, 1.0]), scale), 1), tfb.Chain([tfb.Shift(tf.Variable(1.0))])
    )


MODELS = {
    "nice": lambda: nvp.NICE([2], num_layers=2, hidden_units=[4]),
    "real_nvp": lambda: nvp.RealNVP([2], num_layers=2, hidden_units=[4], activation="tanh"),
    "spline": lambda: nvp.NeuralSplineFlow([2], num_layers=2, hidden_units=4),
    "given base": lambda: nvp.RealNVP([2], num_layers=1, hidden_units=[4], base=tfd.MultivariateNormalDiag([1.0, 2.0])),
    "composed": composed,
    "stock": trained_stock,
}


def randomized(name):
    model = nvp.FlowModel(MODELS[name]())
    model.compile(keras.optimizers.Adam(1e-3))
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(variable + 0.2 * tf.random.stateless_normal(variable.shape, [i, 7]))
    return model


@pytest.mark.parametrize("name", MODELS)
def test_keras_file_round_trip_gives_equal_log_probs(name, x, tmp_path):
    model = randomized(name)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.log_prob(x), model.log_prob(x))
    assert float(loaded.optimizer.learning_rate) == pytest.approx(1e-3)
    loaded.fit(x, epochs=1, verbose=0)  # it is compiled, and trains on


@pytest.mark.parametrize("name", MODELS)
def test_weights_file_round_trip_gives_equal_weights(name, x, tmp_path):
    model, other = randomized(name), nvp.FlowModel(MODELS[name]())
    assert not np.allclose(other.log_prob(x), model.log_prob(x))
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    for mine, theirs in zip(other.variables, model.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", MODELS)
def test_checkpoint_round_trip_gives_equal_weights(name, x, tmp_path):
    model, other = randomized(name), nvp.FlowModel(MODELS[name]())
    path = tf.train.Checkpoint(flow=model.distribution).save(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(flow=other.distribution).restore(path).assert_existing_objects_matched()
    for mine, theirs in zip(other.distribution.variables, model.distribution.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_encoder_and_condition_survive_saving(rng, tmp_path):
    flow = nvp.RealNVP([2], condition_shape=[3], num_layers=2, hidden_units=[4])
    model = nvp.FlowModel(flow, encoder=keras.Sequential([keras.Input([5]), keras.layers.Dense(3)]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    c, y = rng.normal(size=(4, 5)).astype(np.float32), rng.normal(size=(4, 2)).astype(np.float32)
    np.testing.assert_array_equal(loaded.log_prob(y, condition=c), model.log_prob(y, condition=c))


def test_model_checkpoint_writes_the_best_model(make_model, x, tmp_path):
    model = make_model()
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_nll", save_best_only=True)
    history = model.fit(x, validation_data=(x[:32],), epochs=3, callbacks=[best], verbose=0).history
    loaded = keras.saving.load_model(tmp_path / "best.keras")
    assert loaded.evaluate(x[:32], verbose=0, return_dict=True)["nll"] == pytest.approx(
        min(history["val_nll"]), rel=1e-4
    )


@pytest.mark.parametrize("recipe", [nvp.RealNVP, nvp.NeuralSplineFlow])
def test_a_flow_without_a_seed_survives_saving(recipe, rng, tmp_path):
    size = [4] if recipe is nvp.RealNVP else 4
    model, other = (nvp.FlowModel(recipe([4], num_layers=3, hidden_units=size)) for _ in range(2))
    for i, variable in enumerate(model.trainable_variables):
        variable.assign(variable + 0.3 * tf.random.stateless_normal(variable.shape, [i, 7]))
    x = rng.normal(size=(5, 4)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras").log_prob(x), model.log_prob(x))
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other.log_prob(x), model.log_prob(x))


def test_a_shared_conditioner_stays_shared(x):
    conditioner = conditioners.MLP(2, hidden_units=[4])
    layers = [bijectors.Coupling(transformers.Affine(), conditioner, masks.half(2)) for _ in range(2)]
    flow = nvp.Flow(tfd.MultivariateNormalDiag(tf.zeros(2)), bijectors.Chain(layers))
    loaded = serialization.deserialize(serialization.serialize(flow))
    first, second = loaded.bijector.bijectors
    assert first.conditioner is second.conditioner


def test_what_cannot_be_written_says_what_to_do():
    transformer = transformers.FromBijector(lambda raw: tfb.Shift(raw[0]), num_parameters=1)
    flow = nvp.Flow(tfd.MultivariateNormalDiag(tf.zeros(2)), bijectors.Elementwise(transformer, [2]))
    with pytest.raises(ValueError, match="register_keras_serializable"):
        serialization.serialize(flow)


def test_a_class_that_is_not_known_is_refused():
    config = {"kind": "object", "class": "tfd.os", "arguments": {}, "number": 0}
    with pytest.raises(ValueError, match="does not exist"):
        serialization.deserialize(config)
    config["class"] = "os.system"
    with pytest.raises(ValueError, match="does not exist"):
        serialization.deserialize(config)


def test_a_file_keeps_the_schema_of_the_table(tmp_path, rng):
    model = nvp.fit(rng.uniform(size=(64, 2)), support=(0.0, None), flow=small, epochs=1, seed=0, verbose=0)
    assert model.schema.low == (0.0, 0.0)
    assert model.schema.high == (None, None)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").schema == model.schema
