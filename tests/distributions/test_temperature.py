"""What a temperature is, of which bases, and what is none."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tfp_nvp.bijectors import Chain

tfb, tfd = tfp.bijectors, tfp.distributions

PAIR = tfd.Categorical(probs=[0.25, 0.75])

#: Bases of [2], and where all of their samples are at a temperature of zero.
BASES = {
    "normal": (lambda: tfd.Sample(tfd.Normal(3.0, 2.0), 2), [3.0, 3.0]),
    "laplace": (lambda: tfd.Independent(tfd.Laplace([1.0, 2.0], 1.0), 1), [1.0, 2.0]),
    "logistic": (lambda: tfd.Sample(tfd.Logistic(-1.0, 1.0), 2), [-1.0, -1.0]),
    "correlated": (lambda: tfd.MultivariateNormalTriL([1.0, -1.0], [[1.0, 0.0], [0.5, 2.0]]), [1.0, -1.0]),
    "gumbel": (lambda: tfd.Sample(tfd.Gumbel(1.0, 1.0), 2), [1.0 + np.euler_gamma] * 2),
    "cauchy": (lambda: tfd.Sample(tfd.Cauchy(4.0, 1.0), 2), [4.0, 4.0]),
    "student": (lambda: tfd.Independent(tfd.StudentT([0.5, 3.0], [1.0, 2.0], 1.0), 1), [1.0, 2.0]),
    "mixture": (lambda: tfd.MixtureSameFamily(PAIR, tfd.MultivariateNormalDiag([[-4.0, 0.0], [4.0, 4.0]])), [2.0, 3.0]),
    "flow": (lambda: nvp.Flow(nvp.distributions.StandardNormal([2]), tfb.Shift([1.0, 2.0])), [1.0, 2.0]),
}


def cauchys() -> tfd.Distribution:
    return tfd.Independent(tfd.MixtureSameFamily(PAIR, tfd.Cauchy([[0.0, 1.0]] * 2, 1.0)), 1)


#: Bases without a temperature, and what an error says of them.
REFUSED = {
    "uniform": (lambda: tfd.Sample(tfd.Uniform(-1.0, 1.0), 2), tfb.Invert(tfb.Sigmoid(-1.0, 1.0)), "from -1 to 1"),
    "gamma": (lambda: tfd.Sample(tfd.Gamma(2.0, 1.0), 2), tfb.Log(), "from 0 to inf"),
    "flow": (lambda: nvp.Flow(nvp.distributions.StandardNormal([2]), tfb.Sinh()), tfb.Identity(), "none that is known"),
    "cauchys": (cauchys, tfb.Identity(), "none that is known"),
}

#: What is no temperature of five samples of [2].
WRONG = {
    "negative": (-1.0, ValueError, "must be at least 0 and finite; got -1.0"),
    "nan": (np.nan, ValueError, "must be at least 0 and finite; got nan"),
    "infinite": (np.inf, ValueError, "must be at least 0 and finite; got inf"),
    "beyond float32": (1e300, ValueError, "must be at least 0 and finite; got inf"),
    "one of many": ([1.0, 0.5, -0.1, 1.0, 1.0], ValueError, "must be at least 0 and finite; got -0.1"),
    "a bool": (True, TypeError, "must be a number or an array of numbers; got True"),
    "a string": ("cold", TypeError, "must be a number or an array of numbers; got 'cold'"),
    "complex": (1j, TypeError, "must be a number or an array of numbers"),
    "complex tensor": (tf.constant(1j), TypeError, "must hold real numbers"),
    "per column": ([0.5, 1.0], ValueError, r"that of the samples without the event, \[5\]; got shape \[2\]"),
    "per number": (np.ones([5, 2]), ValueError, r"got shape \[5, 2\]"),
    "too many": (np.ones([1, 5]), ValueError, r"got shape \[1, 5\]"),
}


def flow_of(base, *layers) -> nvp.Flow:
    return nvp.Flow(base, Chain([tfb.Scale([2.0, -3.0]), *layers]))


@pytest.mark.parametrize("name", BASES)
def test_distances_from_the_mean_or_mode_are_scaled(name):
    make, center = BASES[name]
    flow = flow_of(make())
    z = flow.encode(flow.sample(200, seed=1))[0].numpy()
    for temperature in (0.0, 0.5, 2.0):
        got = flow.encode(flow.sample(200, seed=1, temperature=temperature))[0].numpy()
        np.testing.assert_allclose(got, center + temperature * (z - center), rtol=1e-4, atol=1e-4)
    compiled = tf.function(lambda t: flow.sample(200, seed=1, temperature=t))
    right = flow.sample(200, seed=1, temperature=0.5)
    np.testing.assert_allclose(compiled(tf.constant(0.5)), right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("in_graph", [False, True])
def test_other_bases_have_none(name, in_graph):
    make, layer, message = REFUSED[name]
    flow = flow_of(make(), layer)
    assert flow.sample(3, seed=1).shape == [3, 2]
    sample = tf.function(flow.sample) if in_graph else flow.sample
    with pytest.raises(ValueError, match=message) as error:
        sample(3, seed=1, temperature=0.5)
    assert "StandardNormal" in str(error.value)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_temperatures_are_refused(name, tmp_path):
    temperature, kind, message = WRONG[name]
    flow = nvp.RealNVP([2], num_layers=1, hidden_units=[2], seed=0)
    digits = nvp.Dequantized(nvp.Flow(flow.distribution, Chain([tfb.Sigmoid(), flow.bijector])), levels=4)
    for distribution in (flow, nvp.FlowModel(flow), digits, nvp.FlowModel(digits)):
        with pytest.raises(kind, match=f"`temperature`.*{message}"):
            distribution.sample(5, temperature=temperature)


def test_wrong_values_of_a_graph_give_nan():
    flow = nvp.RealNVP([2], num_layers=1, hidden_units=[2], seed=0)
    x = tf.function(lambda t: flow.sample(4, seed=1, temperature=t))(tf.constant([1.0, -1.0, np.nan, np.inf])).numpy()
    np.testing.assert_array_equal(x[0], flow.sample(4, seed=1)[0])
    assert np.isnan(x[1:]).all()


def test_each_sample_can_have_its_own(rng):
    flow = randomized(nvp.RealNVP([2], num_layers=2, hidden_units=[4], condition_shape=[3], seed=0))
    condition = rng.normal(size=(4, 3)).astype(np.float32)
    for distribution, keywords in ((flow, {"condition": condition}), (flow.given(condition), {})):
        draws = [distribution.sample(5, seed=1, temperature=t, **keywords).numpy() for t in (0.5, 1.0)]
        per_row = distribution.sample(5, seed=1, temperature=[0.5, 0.5, 1.0, 1.0], **keywords)
        np.testing.assert_allclose(per_row[:, :2], draws[0][:, :2], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(per_row[:, 2:], draws[1][:, 2:], rtol=1e-5, atol=1e-6)
        per_sample = distribution.sample(5, seed=1, temperature=[[1], [1], [1], [0.5], [0.5]], **keywords)
        np.testing.assert_allclose(per_sample[3:], draws[0][3:], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(per_sample[:3], draws[1][:3], rtol=1e-5, atol=1e-6)
        with pytest.raises(ValueError, match=r"\[5, 4\]; got shape \[5\]"):
            distribution.sample(5, seed=1, temperature=np.ones(5), **keywords)


def test_sizes_that_are_not_known():
    flow = nvp.RealNVP([2], num_layers=1, hidden_units=[2], seed=0)

    @tf.function(input_signature=[tf.TensorSpec([]), tf.TensorSpec([], tf.int32)])
    def sample(temperature, n):
        return flow.sample(n, seed=1, temperature=temperature)

    np.testing.assert_allclose(sample(0.5, 3), flow.sample(3, seed=1, temperature=0.5), rtol=1e-6)


def test_what_is_no_flow_has_none():
    model = nvp.FlowModel(tfd.MultivariateNormalDiag(tf.Variable([0.0, 0.0])))
    with pytest.raises(TypeError, match=r"`temperature` is for samples of a tfp_nvp\.Flow; .* MultivariateNormalDiag"):
        model.sample(3, temperature=0.5)


@pytest.mark.parametrize("name", ["uniform", "cauchys"])
def test_an_export_of_it_has_no_signature_of_temperatures(name, tmp_path):
    make, layer, _ = REFUSED[name]
    served = nvp.serving.load(nvp.export(flow_of(make(), layer), tmp_path / "model", verify=False))
    assert "sample_tempered" not in served.signatures
    with pytest.raises(ValueError, match=r"`temperature` needs the signature sample_tempered, which .* does not have"):
        served.sample(3, temperature=0.5)


def test_a_served_flow_refuses_the_same(tmp_path):
    served = nvp.serving.load(nvp.export(flow_of(BASES["cauchy"][0]()), tmp_path / "model", verify=False))
    np.testing.assert_allclose(served.sample(2, temperature=0.0), [[8.0, -12.0]] * 2, rtol=1e-5)
    for name in ("negative", "nan", "infinite", "one of many", "a bool", "a string", "complex"):
        temperature, kind, message = WRONG[name]
        with pytest.raises(kind, match=f"`temperature`.*{message}"):
            served.sample(5, temperature=temperature)
    with pytest.raises(ValueError, match="must have equally many rows"):
        served.sample(5, temperature=[0.5, 1.0])
    raw = {"seed": np.zeros([3, 2], np.int32), "temperature": np.float32([-1.0, np.nan, 1.0])}
    x = served.predict("sample_tempered", raw)["x"]
    assert np.isnan(x[:2]).all()
    assert np.isfinite(x[2]).all()
