"""Bases whose support is not what a bijector maps."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.flows.test_recipes import each_recipe, small
from tfp_nvp import bijectors, masks
from tfp_nvp._captured import construct
from tfp_nvp.bijectors import Chain, Coupling
from tfp_nvp.conditioners import MLP
from tfp_nvp.distributions._base import support_of
from tfp_nvp.transformers import FromBijector, RationalQuadratic

tfb, tfd = tfp.bijectors, tfp.distributions

INF, PI = math.inf, math.pi
PAIR = tfd.Categorical(logits=[0.0, 0.0])

#: Distributions of numbers, and their support.
SUPPORTS = {
    "Exponential": (lambda: tfd.Exponential(1.0), 0.0, INF),
    "Gamma": (lambda: tfd.Gamma(2.0, 1.0), 0.0, INF),
    "HalfNormal": (lambda: tfd.HalfNormal(1.0), 0.0, INF),
    "HalfCauchy": (lambda: tfd.HalfCauchy(2.0, 1.0), 2.0, INF),
    "LogNormal": (lambda: tfd.LogNormal(0.0, 1.0), 0.0, INF),
    "InverseGamma": (lambda: tfd.InverseGamma(2.0, 1.0), 0.0, INF),
    "InverseGaussian": (lambda: tfd.InverseGaussian(2.0, 1.0), 0.0, INF),
    "Chi2": (lambda: tfd.Chi2(2.0), 0.0, INF),
    "Weibull": (lambda: tfd.Weibull(2.0, 1.0), 0.0, INF),
    "Pareto": (lambda: tfd.Pareto(2.0, 3.0), 3.0, INF),
    "GeneralizedPareto": (lambda: tfd.GeneralizedPareto(1.0, 1.0, 0.1), 1.0, INF),
    "Uniform": (lambda: tfd.Uniform(-2.0, 3.0), -2.0, 3.0),
    "Beta": (lambda: tfd.Beta(2.0, 1.0), 0.0, 1.0),
    "Kumaraswamy": (lambda: tfd.Kumaraswamy(2.0, 1.0), 0.0, 1.0),
    "TruncatedNormal": (lambda: tfd.TruncatedNormal(0.0, 1.0, -1.0, 2.0), -1.0, 2.0),
    "Triangular": (lambda: tfd.Triangular(0.0, 2.0, 0.5), 0.0, 2.0),
    "VonMises": (lambda: tfd.VonMises(0.0, 1.0), -PI, PI),
    "Independent": (lambda: tfd.Independent(tfd.Gamma([2.0, 1.0], 1.0), 1), 0.0, INF),
    "Sample": (lambda: tfd.Sample(tfd.Beta(2.0, 1.0), 3), 0.0, 1.0),
    "BatchBroadcast": (lambda: tfd.BatchBroadcast(tfd.Gamma(2.0, 1.0), [3]), 0.0, INF),
    "MixtureSameFamily": (lambda: tfd.MixtureSameFamily(PAIR, tfd.Uniform([0.0, 1.0], [1.0, 2.0])), 0.0, 2.0),
    "Mixture": (lambda: tfd.Mixture(PAIR, [tfd.Gamma(1.0, 1.0), tfd.Uniform(-1.0, 1.0)]), -1.0, INF),
    "TransformedDistribution": (lambda: tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), tfb.Exp()), 0.0, INF),
    "Dirichlet": (lambda: tfd.Dirichlet([1.0, 1.0]), 0.0, 1.0),
    "Flow": (lambda: nvp.Flow(tfd.Normal(0.0, 1.0), tfb.Sigmoid(0.0, 2.0)), 0.0, 2.0),
    "Normal": (lambda: tfd.Normal(0.0, 1.0), -INF, INF),
    "Logistic": (lambda: tfd.Logistic(0.0, 1.0), -INF, INF),
    "StudentT": (lambda: tfd.StudentT(1.0, 0.0, 1.0), -INF, INF),
    "Cauchy": (lambda: tfd.Cauchy(0.0, 1.0), -INF, INF),
    "Laplace": (lambda: tfd.Laplace(0.0, 1.0), -INF, INF),
    "Gumbel": (lambda: tfd.Gumbel(0.0, 1.0), -INF, INF),
    "SinhArcsinh": (lambda: tfd.SinhArcsinh(0.0, 1.0, 0.1), -INF, INF),
    "MultivariateNormalTriL": (lambda: tfd.MultivariateNormalTriL([0.0, 0.0], tf.eye(2)), -INF, INF),
    "mixture of normals": (lambda: tfd.MixtureSameFamily(PAIR, tfd.Normal([0.0, 1.0], 1.0)), -INF, INF),
    "ConditionalNormal": (lambda: nvp.distributions.ConditionalNormal([2], [1], hidden_units=[2]), -INF, INF),
}

DISCRETE = {
    "Poisson": lambda: tfd.Poisson([1.0, 1.0]),
    "Categorical": lambda: tfd.Categorical([[0.5, 0.5]] * 2),
    "Bernoulli": lambda: tfd.Bernoulli([0.5, 0.5]),
    "Deterministic": lambda: tfd.Deterministic([0.0, 0.0]),
    "Binomial": lambda: tfd.Binomial(3.0, probs=[0.5, 0.5]),
    "Empirical": lambda: tfd.Empirical([[0.0, 1.0], [1.0, 2.0]]),
    "QuantizedDistribution": lambda: tfd.QuantizedDistribution(tfd.Normal([0.0, 0.0], 1.0)),
}


def as_vector(distribution: tfd.Distribution) -> tfd.Distribution:
    """A distribution over [2], or the distribution itself if it is one over vectors."""
    if distribution.event_shape.rank:
        return distribution
    return tfd.Sample(distribution, 2) if not distribution.batch_shape.rank else tfd.Independent(distribution, 1)


@pytest.mark.parametrize("name", SUPPORTS)
def test_the_support_of_a_distribution_is_known(name):
    make, low, high = SUPPORTS[name]
    np.testing.assert_allclose(support_of(make()), (low, high), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in SUPPORTS if name != "ConditionalNormal"])
def test_layers_of_all_real_numbers_refuse_other_supports(name):
    make, low, high = SUPPORTS[name]
    base = as_vector(make())
    layer = bijectors.ActNorm(base.event_shape)
    if (low, high) == (-INF, INF):
        assert nvp.Flow(base, layer).data_range.is_whole
        return
    with pytest.raises(ValueError, match=r"act_norm maps latents that are all real numbers, and gets .* are from") as e:
        nvp.Flow(base, layer)
    assert base.name in str(e.value)
    assert "StandardNormal" in str(e.value)
    assert "tfb.Invert(" in str(e.value)


@each_recipe
def test_recipes_refuse_them(recipe):
    size = small(recipe).distribution.event_shape[0]
    with pytest.raises(ValueError, match="has a support that does not fit"):
        small(recipe, base=tfd.Sample(tfd.Exponential(1.0), size))


def test_the_way_out_that_an_error_names_works(rng):
    inner = nvp.RealNVP([2], num_layers=2, hidden_units=[4], seed=0)
    for base, onto in (
        (tfd.Gamma(2.0, 1.0), tfb.Softplus()),
        (tfd.Pareto(2.0, 1.0), tfb.Softplus(low=1.0)),
        (tfd.Uniform(0.0, 1.0), tfb.Sigmoid()),
        (tfd.Uniform(-2.0, 3.0), tfb.Sigmoid(-2.0, 3.0)),
    ):
        base = tfd.Sample(base, 2)
        with pytest.raises(ValueError, match=f"tfb.Invert\\(tfb.{type(onto).__name__}\\("):
            nvp.Flow(base, inner.bijector)
        flow = nvp.Flow(base, Chain([inner.bijector, tfb.Invert(onto)]))
        assert np.isfinite(flow.log_prob(10.0 * rng.normal(size=(50, 2)))).all()
        assert np.isfinite(flow.sample(50, seed=1)).all()


@pytest.mark.parametrize(
    "bijector",
    [tfb.Log(), tfb.Invert(tfb.Exp()), bijectors.Invert(tfb.Exp()), tfb.Invert(tfb.Softplus()), Chain([tfb.Log()])],
)
def test_a_bijector_of_positive_numbers_takes_a_base_of_them_and_no_other(bijector):
    flow = nvp.Flow(tfd.Gamma(2.0, 1.0), bijector)
    x = np.linspace(-12.0, 30.0, 50_001, dtype=np.float32)
    assert np.isclose(np.trapezoid(np.exp(flow.log_prob(x)), x), 1.0, atol=1e-3)
    with pytest.raises(
        ValueError, match=r"maps latents that are from 0 to inf, and gets .* all real numbers\. .*tfb\.S"
    ):
        nvp.Flow(tfd.Normal(0.0, 1.0), bijector)


def test_fixed_maps_of_a_part_of_what_they_map_are_taken():
    for base, bijector, low, high in (
        (tfd.Uniform(0.0, 1.0), tfb.Scale(2.0), 0.0, 2.0),
        (tfd.Uniform(0.0, 1.0), tfb.Identity(), 0.0, 1.0),
        (tfd.Uniform(0.0, 1.0), tfb.Invert(tfb.Sigmoid()), -INF, INF),
        (tfd.Uniform(0.0, 1.0), tfb.Log(), -INF, 0.0),
        (tfd.Gamma(2.0, 1.0), tfb.Chain([tfb.Shift(1.0), tfb.Scale(-1.0)]), -INF, 1.0),
        (tfd.Sample(tfd.Gamma(2.0, 1.0), 2), bijectors.Reverse(), 0.0, INF),
        (tfd.Sample(tfd.Gamma(2.0, 1.0), 2), tfb.ScaleMatvecTriL(tf.eye(2)), -INF, INF),  # its range is not known
    ):
        assert nvp.Flow(base, bijector).data_range == (low, high)


def test_bounds_within_a_chain_are_its_own_affair():
    linear, support = bijectors.InvertibleLinear([2], seed=0), bijectors.Support([-9.0, -INF], [9.0, INF])
    base = nvp.distributions.StandardNormal([2])
    for bounding in (support, tfb.Sigmoid(), Chain([bijectors.ActNorm([2]), tfb.Exp()])):
        assert nvp.Flow(base, Chain([linear, bounding])).data_range.is_whole
        with pytest.raises(ValueError, match="log maps latents that are from 0 to inf, and gets"):
            nvp.Flow(base, Chain([bounding, tfb.Log(), linear]))


def test_splines_of_an_interval_take_a_base_over_it():
    def on_the_unit_interval(raw):
        bins = [tf.nn.softmax(part, axis=-1) for part in (raw[:2], raw[2:])]
        return tfb.RationalQuadraticSpline(*(tf.stack([b[0], 1.0 - b[0]], -1) for b in bins), tf.ones([1]), 0.0)

    for base, transformer in (
        (tfd.Uniform(-2.0, 2.0), RationalQuadratic(bound=2.0)),
        (tfd.Uniform(0.0, 1.0), FromBijector(on_the_unit_interval, num_parameters=4)),
    ):
        coupling = Coupling(transformer, MLP(hidden_units=[4]), masks.half(2))
        assert nvp.Flow(tfd.Sample(base, 2), coupling).data_range == support_of(base)


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_bases_are_refused(name):
    base = as_vector(DISCRETE[name]())
    with pytest.raises(ValueError, match=r"must have a density; .* is discrete\. .*Dequantized"):
        nvp.Flow(base, tfb.Identity())


def test_a_model_and_a_fit_refuse_them_too(rng):
    stock = tfd.TransformedDistribution(
        tfd.Sample(tfd.Gamma(2.0, 1.0), 2), nvp.RealNVP([2], num_layers=1, hidden_units=[2]).bijector
    )
    with pytest.raises(ValueError, match="has a support that does not fit"):
        nvp.FlowModel(stock)
    nvp.FlowModel(tfd.TransformedDistribution(tfd.Sample(tfd.Gamma(2.0, 1.0), 2), tfb.Scale(2.0)))
    with pytest.raises(ValueError, match="has a support that does not fit"):
        nvp.fit(rng.normal(size=(100, 2)), flow=tfd.Sample(tfd.Exponential(1.0), 2))


def test_what_is_made_of_a_flow_in_a_graph_needs_no_values():
    flow = nvp.Flow(
        tfd.Sample(tfd.Uniform(0.0, 1.0), 2),
        Chain([nvp.RealNVP([2], num_layers=1, condition_shape=[1]).bijector, tfb.Invert(tfb.Sigmoid())]),
    )

    @tf.function
    def log_prob(x, condition):
        return flow.given(condition).log_prob(x)

    assert log_prob(tf.zeros([3, 2]), tf.zeros([3, 1])).shape == [3]

    @tf.function
    def of_a_base(x, rate):
        return nvp.Flow(tfd.Gamma(rate, 1.0), tfb.Log()).log_prob(x)

    assert np.isfinite(of_a_base(tf.constant(0.3), tf.constant(2.0)))


def test_a_flow_of_a_file_that_was_accepted_once_warns():
    parts = {"distribution": tfd.Sample(tfd.Uniform(-3.0, 3.0), 2), "bijector": bijectors.ActNorm([2])}
    with pytest.warns(UserWarning, match="has a support that does not fit.*It is kept only as it comes from a file"):
        flow = construct(nvp.Flow, parts)
    assert np.isfinite(flow.log_prob([0.0, 0.0]))
