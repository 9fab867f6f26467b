"""Our bijectors and flows as parts of TFP's own objects."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp import masks
from tfp_nvp.bijectors import Chain, Coupling
from tfp_nvp.conditioners import MLP
from tfp_nvp.transformers import Affine

tfb, tfd = tfp.bijectors, tfp.distributions


@pytest.fixture
def coupling(rng) -> Coupling:
    coupling = Coupling(Affine(), MLP(2, hidden_units=[8], seed=0), masks.half(2))
    coupling.conditioner.output_layer.kernel.assign(0.5 * rng.normal(size=(8, 2)))
    return coupling


@pytest.fixture
def conditional(rng) -> nvp.RealNVP:
    flow = nvp.RealNVP([2], num_layers=2, hidden_units=[8], condition_shape=[1], seed=0)
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    return flow


def test_a_stock_chain_of_ours_is_our_chain(coupling, rng):
    parts = [tfb.Shift([1.0, -1.0]), coupling, tfb.Softplus()]
    z = tf.constant(rng.normal(size=(5, 2)), tf.float32)
    x, log_det = Chain(parts).forward_and_log_det(z)
    np.testing.assert_allclose(tfb.Chain(parts).forward(z), x, rtol=1e-6)
    np.testing.assert_allclose(tfb.Chain(parts).forward_log_det_jacobian(z, 1), log_det, rtol=1e-5, atol=1e-6)
    assert len(tfb.Chain(parts).trainable_variables) == len(coupling.trainable_variables) > 0


def test_a_stock_invert_of_ours_swaps_directions(coupling, rng):
    value = tf.constant(rng.normal(size=(5, 2)), tf.float32)
    np.testing.assert_array_equal(tfb.Invert(coupling).forward(value), coupling.inverse(value))
    np.testing.assert_array_equal(
        tfb.Invert(coupling).forward_log_det_jacobian(value, 1), coupling.inverse_log_det_jacobian(value, 1)
    )


def test_a_stock_transformed_distribution_has_our_density_and_weights(coupling, rng):
    base = tfd.MultivariateNormalDiag(tf.zeros([2]))
    stock = tfd.TransformedDistribution(base, coupling)
    x = tf.constant(rng.normal(size=(5, 2)), tf.float32)
    np.testing.assert_allclose(stock.log_prob(x), nvp.Flow(base, coupling).log_prob(x), rtol=1e-5)
    assert len(stock.trainable_variables) == 4
    before = stock.log_prob(x).numpy()
    coupling.conditioner.output_layer.bias.assign([1.0, 1.0])
    assert not np.allclose(stock.log_prob(x), before)
    np.testing.assert_allclose(stock.log_prob(x), nvp.Flow(base, coupling).log_prob(x), rtol=1e-5)


def test_a_stock_transformed_distribution_passes_a_condition_on(conditional, rng):
    stock = tfd.TransformedDistribution(conditional.distribution, conditional.bijector)
    x, condition = tf.constant(rng.normal(size=(5, 2)), tf.float32), tf.constant(rng.normal(size=(5, 1)), tf.float32)
    np.testing.assert_allclose(
        stock.log_prob(x, bijector_kwargs={"condition": condition}), conditional.log_prob(x, condition=condition)
    )


def by_list(flow: nvp.Flow) -> tfd.Distribution:
    return tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0), lambda a: flow.given(a[..., tf.newaxis])])


def by_name(flow: nvp.Flow) -> tfd.Distribution:
    return tfd.JointDistributionNamed({"a": tfd.Normal(0.0, 1.0), "b": lambda a: flow.given(a[..., tf.newaxis])})


def by_coroutine(flow: nvp.Flow) -> tfd.Distribution:
    def model():
        a = yield tfd.JointDistributionCoroutine.Root(tfd.Normal(0.0, 1.0))
        yield flow.given(a[..., tf.newaxis])

    return tfd.JointDistributionCoroutine(model)


@pytest.mark.parametrize("make", [by_list, by_name, by_coroutine])
@pytest.mark.parametrize("sample_shape", [(), 4, (2, 4)])
def test_a_flow_given_another_variable_is_part_of_a_joint_distribution(conditional, make, sample_shape):
    joint = make(conditional)
    draws = joint.sample(sample_shape, seed=tf.constant([1, 2]))
    a, x = (draws["a"], draws["b"]) if isinstance(draws, dict) else draws
    assert x.shape == [*a.shape, 2]
    right = tfd.Normal(0.0, 1.0).log_prob(a) + conditional.log_prob(x, condition=a[..., tf.newaxis])
    np.testing.assert_allclose(joint.log_prob(draws), right, rtol=1e-4, atol=1e-4)


def test_hamiltonian_monte_carlo_runs_through_a_flow(coupling):
    """Whatever the flow, the chain's states in data space follow the target."""
    target = tfd.MultivariateNormalTriL([1.0, -1.0], [[1.0, 0.0], [0.8, 0.6]])
    inner = tfp.mcmc.HamiltonianMonteCarlo(target.log_prob, step_size=0.4, num_leapfrog_steps=4)
    kernel = tfp.mcmc.TransformedTransitionKernel(inner, coupling)

    @tf.function(autograph=False)
    def run() -> tf.Tensor:
        return tfp.mcmc.sample_chain(
            500, tf.zeros([40, 2]), kernel=kernel, num_burnin_steps=100, trace_fn=None, seed=tf.constant([1, 2])
        )

    states = run().numpy().reshape(-1, 2)
    np.testing.assert_allclose(states.mean(0), [1.0, -1.0], atol=0.15)
    np.testing.assert_allclose(np.cov(states.T), [[1.0, 0.8], [0.8, 1.0]], atol=0.2)


def test_variational_inference_trains_a_flow():
    """Keras' optimizers fit TFP's interface: it calls `apply_gradients(zip(gradients, variables))`."""
    target = tfd.MultivariateNormalTriL([1.0, -1.0], [[1.0, 0.0], [0.8, 0.6]])
    surrogate = nvp.RealNVP([2], num_layers=2, hidden_units=[16], activation="tanh", seed=0)
    losses = tfp.vi.fit_surrogate_posterior(
        target.log_prob,
        surrogate,
        optimizer=keras.optimizers.Adam(0.02),
        num_steps=200,
        sample_size=64,
        trainable_variables=surrogate.trainable_variables,
        seed=tf.constant([1, 2]),
    ).numpy()
    assert losses[-20:].mean() < 0.1 < losses[0]
    x = surrogate.sample(4000, seed=1).numpy()
    np.testing.assert_allclose(x.mean(0), [1.0, -1.0], atol=0.2)
    np.testing.assert_allclose(np.cov(x.T), [[1.0, 0.8], [0.8, 1.0]], atol=0.25)
