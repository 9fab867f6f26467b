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


class Mine(nvp.RealNVP):
    """A user's own recipe, with a name that is its keyword-only default."""

    def __init__(self, *, name: str = "mine"):
        super().__init__([2], num_layers=1, hidden_units=[4], seed=0, name=name)


def given(flow: nvp.Flow):
    return lambda z: flow.given(z)


def small(**arguments) -> nvp.RealNVP:
    return nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0, **arguments)


@pytest.mark.parametrize(
    "parts",
    [
        lambda: [small(), lambda z: tfd.Normal(z[..., 0], 1.0)],
        lambda: [small(), small()],
        lambda: [Mine(), Mine(), nvp.MAF([2], num_layers=1, hidden_units=[4])],
        lambda: [small(), given(small(condition_shape=[2]))],
        lambda: [nvp.Flow(tfd.Normal(0.0, 1.0), tfb.Exp()), nvp.Flow(tfd.Normal(0.0, 1.0), tfb.Exp())],
        lambda: [nvp.distributions.StandardNormal([2]), nvp.distributions.StandardNormal([2])],
    ],
    ids=["flow and function of it", "two flows", "own recipes", "given", "wrapped", "bases"],
)
def test_names_that_were_not_given_do_not_count_in_joint_distributions(parts):
    joint = tfd.JointDistributionSequential(parts())
    samples = joint.sample(seed=1)
    assert np.isfinite(joint.log_prob(samples))
    pinned = joint.experimental_pin(*[None] * (len(samples) - 1), samples[-1])
    assert np.isfinite(pinned.log_prob(pinned.sample_unpinned(seed=2)))


def test_names_that_were_given_count_in_joint_distributions():
    first = small(name="first")
    second = small(condition_shape=[2], name="second")

    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        z = yield first
        yield second.given(z)

    samples = model.sample(seed=1)
    assert samples._fields == ("first", "second_given")
    assert np.isfinite(model.log_prob(samples))


def scalar_flows() -> dict:
    affine = nvp.bijectors.Elementwise(Affine(), [])
    affine.trainable_variables[0].assign([1.0, 0.5])
    spline = nvp.bijectors.Elementwise(nvp.transformers.RationalQuadratic(num_bins=3), [])
    spline.trainable_variables[0].assign(np.linspace(-1.0, 1.0, 8))
    decreasing = nvp.transformers.FromBijector(lambda raw: tfb.Scale(-tf.exp(raw[0])), num_parameters=1)
    return {
        "affine": nvp.Flow(tfd.Normal(0.0, 1.0), affine),
        "spline": nvp.Flow(tfd.Normal(0.0, 1.0), spline),
        "logit": nvp.Flow(tfd.Logistic(0.3, 0.5), nvp.bijectors.Logit(0.05)),
        "chain": nvp.Flow(nvp.distributions.StandardNormal([]), Chain([tfb.Scale(-2.0), affine, tfb.Shift(1.0)])),
        "inverted": nvp.Flow(tfd.Normal(0.0, 1.0), nvp.bijectors.Invert(spline)),
        "decreasing": nvp.Flow(tfd.Normal(0.5, 1.0), nvp.bijectors.Elementwise(decreasing, [])),
        "stock": nvp.Flow(tfd.Normal(0.0, 1.0), tfb.Exp()),
    }


@pytest.mark.parametrize("name", scalar_flows())
def test_distribution_functions_of_one_number(name):
    """The cdf is the integral of the density, the quantile its inverse, survival what is left."""
    flow = scalar_flows()[name]
    low, middle, high = flow.quantile([1e-4, 0.37, 0.9])
    points = tf.linspace(low, middle, 4001)
    mass = 1e-4 + tfp.math.trapz(flow.prob(points), points)
    np.testing.assert_allclose([flow.cdf(middle), mass], 0.37, atol=1e-4)
    np.testing.assert_allclose(flow.survival_function(high), 0.1, atol=1e-4)
    np.testing.assert_allclose(flow.log_cdf(high), np.log(0.9), atol=1e-4)
    np.testing.assert_allclose(flow.log_survival_function(middle), np.log(0.63), atol=1e-4)


def test_distribution_functions_of_vectors_are_refused():
    for flow in (small(), nvp.distributions.StandardNormal([2])):
        with pytest.raises(NotImplementedError):
            flow.cdf([0.0, 0.0])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda b: b,
        lambda b: tfb.Invert(b),
        lambda b: Chain([b, tfb.Shift(1.0)]),
        lambda b: nvp.bijectors.Invert(b),
    ],
)
def test_kl_of_flows_that_share_a_stock_bijector(wrap):
    shared = tfb.Scale(2.0)
    flows = [make(tfd.Normal(mean, 1.0), wrap(shared)) for mean in (0.0, 1.0) for make in (nvp.Flow,)]
    assert float(tfd.kl_divergence(*flows)) == pytest.approx(0.5)


def test_kl_of_ours_and_stock_flows():
    shared = tfb.Scale(2.0)
    ours, stock = nvp.Flow(tfd.Normal(0.0, 1.0), shared), tfd.TransformedDistribution(tfd.Normal(1.0, 1.0), shared)
    assert float(tfd.kl_divergence(ours, stock)) == float(tfd.kl_divergence(stock, ours)) == pytest.approx(0.5)
    for other in (tfd.Normal(0.0, 1.0), nvp.Flow(tfd.Normal(0.0, 1.0), tfb.Scale(3.0))):
        with pytest.raises(NotImplementedError):
            tfd.kl_divergence(ours, other)


def test_a_stock_bijector_that_does_not_say_its_parameters():
    class MyExp(tfb.Bijector):
        def __init__(self):
            super().__init__(forward_min_event_ndims=0)

        def _forward(self, z):
            return tf.exp(z)

        def _inverse(self, x):
            return tf.math.log(x)

        def _inverse_log_det_jacobian(self, x):
            return -tf.math.log(x)

    flow = nvp.Flow(tfd.Normal(0.0, 1.0), MyExp())
    assert flow.batch_shape == []
    assert flow.sample([3], seed=1).shape == [3]
    assert "MyExp" in repr(flow)
    np.testing.assert_allclose(flow.log_prob([0.5, 2.0]), tfd.LogNormal(0.0, 1.0).log_prob([0.5, 2.0]), rtol=1e-5)


def test_a_stock_bijector_with_an_integer_log_det():
    same = tfb.Inline(
        forward_fn=lambda z: z,
        inverse_fn=lambda x: x,
        forward_log_det_jacobian_fn=lambda z: tf.constant(0),
        inverse_log_det_jacobian_fn=lambda x: tf.constant(0),
        forward_min_event_ndims=0,
    )
    flow = nvp.Flow(tfd.Normal(0.0, 1.0), Chain([same, tfb.Shift(1.0)]))
    np.testing.assert_allclose(flow.log_prob([0.0, 1.0]), tfd.Normal(1.0, 1.0).log_prob([0.0, 1.0]), rtol=1e-6)


def test_the_repr_shows_the_structure():
    flow = nvp.RealNVP([3], num_layers=2, hidden_units=[8], condition_shape=[2])
    assert (
        repr(flow)
        == str(flow)
        == (
            "RealNVP(event_shape=[3], num_layers=2, hidden_units=[8], condition_shape=[2]): 138 trainable weights\n"
            "  act_norm_0: ActNorm(event_shape=[3]): 6 trainable weights\n"
            "  coupling_0: Coupling(transformer=Affine(), conditioner=MLP(hidden_units=[8]), condition_shape=[2]): "
            f"{count(flow, 1)} trainable weights\n"
            "  act_norm_1: ActNorm(event_shape=[3]): 6 trainable weights\n"
            "  coupling_1: Coupling(transformer=Affine(), conditioner=MLP(hidden_units=[8]), condition_shape=[2]): "
            f"{count(flow, 3)} trainable weights\n"
            "  base: StandardNormal(event_shape=[3])"
        )
    )
    assert "FlowModel()\n  distribution: RealNVP(" in repr(nvp.FlowModel(flow))


def count(flow: nvp.Flow, layer: int) -> int:
    return sum(int(np.prod(v.shape)) for v in flow.bijector.bijectors[layer].trainable_variables)
