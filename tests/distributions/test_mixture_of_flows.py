import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp import bijectors, flows
from tfp_nvp.distributions import MixtureOfFlows, StandardNormal
from tfp_nvp.serving import load

tfd = tfp.distributions


def shifted(shift: float, scale: float) -> nvp.Flow:
    """N(shift, scale²) of one number."""
    layers = bijectors.Chain([tfp.bijectors.Shift([shift]), tfp.bijectors.Scale([scale])])
    return nvp.Flow(StandardNormal([1]), layers)


def conditional(**arguments) -> MixtureOfFlows:
    parts = [
        flows.RealNVP([2], num_layers=2, hidden_units=4, condition_shape=[3], seed=seed, **arguments) for seed in (0, 1)
    ]
    mixture = MixtureOfFlows(parts)
    rng = np.random.default_rng(0)
    for variable in mixture.trainable_variables:
        variable.assign_add((0.3 * rng.normal(size=variable.shape)).astype(variable.dtype.name))
    return mixture


def two_normals() -> MixtureOfFlows:
    mixture = MixtureOfFlows([shifted(-3.0, 0.5), shifted(2.0, 1.0)])
    mixture.logits.assign(tf.math.log([0.25, 0.75]))
    return mixture


def test_the_density_is_that_of_a_mixture_of_normals(rng):
    right = tfd.MixtureSameFamily(tfd.Categorical(probs=[0.25, 0.75]), tfd.Normal([-3.0, 2.0], [0.5, 1.0]))
    x = (3.0 * rng.normal(size=50)).astype("float32")
    np.testing.assert_allclose(two_normals().log_prob(x[:, None]), right.log_prob(x), rtol=1e-5, atol=1e-5)
    first = right.components_distribution.log_prob(x[:, None]) + np.log([0.25, 0.75])
    np.testing.assert_allclose(two_normals().responsibilities(x[:, None]), tf.nn.softmax(first), rtol=1e-4, atol=1e-6)


def test_samples_are_of_each_flow_as_often_as_its_weight():
    x = two_normals().sample(20_000, seed=1).numpy()
    low = x[x < -1.0]
    assert abs(len(low) / 20_000 - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 20_000) + 0.002  # 0.0013 of N(2, 1) lie there
    assert abs(np.median(low) + 3.0) < 0.05
    np.testing.assert_array_equal(two_normals().sample(5, seed=1), two_normals().sample(5, seed=1))


def test_weights_depend_on_the_condition(rng):
    mixture, condition = conditional(), rng.normal(size=(4, 3)).astype("float32")
    weights = np.exp(mixture.log_weights(condition))
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-6)
    assert np.ptp(weights[:, 0]) > 1e-3
    x = mixture.sample([5], condition=condition, seed=1)
    assert x.shape == [5, 4, 2]
    terms = np.stack([np.exp(flow.log_prob(x, condition=condition)) for flow in mixture.flows], axis=-1)
    log_prob = mixture.log_prob(x, condition=condition)
    np.testing.assert_allclose(log_prob, np.log((weights * terms).sum(axis=-1)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mixture.given(condition).log_prob(x), log_prob, rtol=1e-5, atol=1e-5)
    both, same = mixture.sample_and_log_prob([5], condition=condition, seed=1)
    np.testing.assert_array_equal(both, x)
    np.testing.assert_allclose(same, log_prob, rtol=1e-5, atol=1e-5)


def test_graphs_of_any_batch_size(rng):
    mixture, condition = conditional(), rng.normal(size=(4, 3)).astype("float32")
    signature = [tf.TensorSpec([None, 3])]

    def drawn(condition):
        return mixture.sample_and_log_prob(seed=tf.constant([1, 2]), condition=condition)

    for compiled in (False, True):
        function = tf.function(drawn, input_signature=signature, jit_compile=compiled)
        x, log_prob = function(condition)
        np.testing.assert_array_equal(function(condition)[0], x)
        np.testing.assert_allclose(mixture.log_prob(x, condition=condition), log_prob, rtol=1e-4, atol=1e-4)
    assert function(condition[:0])[0].shape == [0, 2]


def test_float64_copies_frozen_flows_and_missing_conditions(rng):
    mixture, condition, x = conditional(dtype="float64"), rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    log_prob = mixture.log_prob(x, condition=condition)
    assert log_prob.dtype == tf.float64
    copied = copy.deepcopy(mixture)
    np.testing.assert_array_equal(copied.log_prob(x, condition=condition), log_prob)
    copied.logits.assign([5.0, -5.0])
    np.testing.assert_array_equal(mixture.log_prob(x, condition=condition), log_prob)
    copied.flows[0].trainable = False
    frozen = {id(variable) for variable in copied.flows[0].variables}
    assert not any(id(variable) in frozen for variable in copied.trainable_variables)
    with pytest.raises(ValueError, match="needs `condition=`"):
        mixture.log_prob(x)
    with pytest.raises(ValueError, match="must end in the event shape"):
        mixture.log_prob(x[:, :1], condition=condition)


def test_gradients_reach_every_weight_to_second_order(rng):
    mixture, condition = conditional(dtype="float64", activation="tanh"), rng.normal(size=(4, 3))
    x, toward = tf.constant(rng.normal(size=(4, 2))), rng.normal(size=(4, 2))

    def slope(t):
        with tf.GradientTape() as tape:
            tape.watch(t)
            total = tf.reduce_sum(mixture.log_prob(x + t * toward, condition=condition))
        return tape.gradient(total, t)

    t = tf.zeros([], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(t)
        value = slope(t)
        total = tf.reduce_sum(mixture.log_prob(x, condition=condition))
    right = (slope(t + 1e-5) - slope(t - 1e-5)) / 2e-5  # with an error of 1e-10 times third derivatives
    np.testing.assert_allclose(tape.gradient(value, t), right, rtol=1e-6, atol=1e-6)
    assert all(np.any(gradient != 0.0) for gradient in tape.gradient(total, mixture.trainable_variables))


@pytest.mark.slow
def test_it_trains_is_saved_and_exported(rng, tmp_path):
    condition, x = rng.normal(size=(64, 3)).astype("float32"), rng.normal(size=(64, 2)).astype("float32")
    model = nvp.FlowModel(conditional())
    model.compile(keras.optimizers.Adam(1e-2))
    before = [variable.numpy() for variable in model.trainable_variables]
    losses = model.fit(condition, x, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all(np.any(old != new.numpy()) for old, new in zip(before, model.trainable_variables, strict=True))
    model.save(tmp_path / "model.keras")
    log_prob = model.log_prob(x[:5], condition=condition[:5])
    again = nvp.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.log_prob(x[:5], condition=condition[:5]), log_prob, rtol=1e-6)
    served = load(nvp.export(model, tmp_path / "served", verify=False))
    np.testing.assert_allclose(served.log_prob(x[:5], condition=condition[:5]), log_prob, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flows": [flows.NICE([2], seed=0)]}, "at least 2 flows"),
        ({"flows": [flows.NICE([2], seed=0), flows.NICE([3], seed=0)]}, "one event shape"),
        ({"flows": [flows.NICE([2], seed=0)] * 2, "conditioner": keras.layers.Dense(2)}, "needs a condition"),
    ],
)
def test_flows_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MixtureOfFlows(**arguments)


def test_a_mixture_has_no_temperature():
    parts = [nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=seed) for seed in (0, 1)]
    with pytest.raises(TypeError, match=r"`temperature` is for samples of .* one of the mixture's `flows`"):
        MixtureOfFlows(parts).sample(2, temperature=0.5)
