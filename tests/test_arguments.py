"""NumPy's scalars are numbers in every constructor, and wrong types are refused by the argument's name."""

import inspect

import numpy as np
import pytest

import tfp_nvp as nvp
from tfp_nvp import bijectors, conditioners, transformers


@pytest.mark.parametrize("number", [np.int64, np.int32, np.uint8, np.array])
@pytest.mark.parametrize("recipe", [nvp.MAF, nvp.IAF, nvp.NeuralSplineFlow])
def test_sizes_may_be_numbers_of_numpy(recipe, number):
    sizes = {"num_layers": number(2), "num_blocks": number(1), "hidden_units": number(4), "seed": number(3)}
    made = recipe([number(2)], **sizes)
    plain = recipe([2], **{name: int(value) for name, value in sizes.items()})
    x = np.zeros([1, 2], np.float32)
    np.testing.assert_array_equal(made.log_prob(x), plain.log_prob(x))


def test_sizes_of_images_may_be_numbers_of_numpy():
    sizes = {"num_levels": 1, "num_steps": 1, "hidden_units": 4, "seed": 0}
    flow = nvp.Glow([4, 4, 1], **{name: np.int64(value) for name, value in sizes.items()})
    assert flow.event_shape == [4, 4, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bijectors.Chain(None), "`bijectors` must be a list of tfb.Bijector; got None"),
        (lambda: bijectors.Chain([1]), r"`bijectors` must be a list of tfb.Bijector; got \[1\]"),
        (lambda: bijectors.Chain("ab"), "`bijectors` must be a list of tfb.Bijector; got 'ab'"),
        (lambda: bijectors.Chain(bijectors.Reverse()), r"`bijectors` must be a list of tfb.Bijector; got Reverse\(\)"),
        (lambda: bijectors.Multiscale(True, [4, 4, 1]), "`levels` must be a list of tfb.Bijector; got True"),
        (lambda: bijectors.Multiscale([bijectors.Reverse()], [4, 4, 1], leaving=np.array(2)), "`leaving` must be a"),
        (lambda: bijectors.Multiscale([bijectors.Reverse()], [4, 4, 1], leaving=""), "`leaving` must be a list"),
        (lambda: bijectors.Support("abc", [1.0]), "`low` must be an array of numbers; got 'abc'"),
        (lambda: bijectors.Support([0.0], [1.0], scale="1"), "`scale` must be an array of numbers; got '1'"),
        (lambda: conditioners.GatedConvNet(2, layer_norm="no"), "`layer_norm` must be True or False; got 'no'"),
        (lambda: nvp.Glow([4, 4, 1], num_levels=1, learned_prior=1), "`learned_prior` must be True or False; got 1"),
        (lambda: nvp.ImageRealNVP([4, 4, 1], hidden_units=None), "`hidden_units` must be an integer; got None"),
        (lambda: nvp.FlowModel(nvp.NICE([2], num_layers=1), schema="a"), "`schema` must be a Schema"),
    ],
)  # fmt: skip
def test_other_types_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("dtype", ["int32", int, "complex64", "bool", "no dtype"])
@pytest.mark.parametrize("make", [nvp.RealNVP, nvp.ContinuousFlow, nvp.ResidualFlow, bijectors.ActNorm])
def test_dtypes_that_are_not_of_real_numbers_are_refused(make, dtype):
    with pytest.raises(TypeError, match="`dtype` must be a floating-point dtype"):
        make([2], dtype=dtype)


@pytest.mark.parametrize("seed", ["a", 1.5, [1, 2, 3], [0.5, 1.0], np.zeros([2, 2], int)])
def test_seeds_of_other_kinds_are_refused_by_every_flow(seed):
    sizes = {"num_layers": 1, "hidden_units": [4], "seed": 0}
    continuous = nvp.ContinuousFlow([2], hidden_units=[4], seed=0)
    for flow in (continuous, nvp.ResidualFlow([2], **sizes), nvp.RealNVP([2], **sizes)):
        for call in (
            lambda flow=flow: flow.log_prob([[0.0, 1.0]], seed=seed),
            lambda flow=flow: flow.sample(seed=seed),
        ):
            with pytest.raises(TypeError, match="`seed` must be an int, or a stateless seed of two ints"):
                call()


def test_help_names_the_arguments_of_densities_and_samples():
    flow = nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0)
    for method, names in ((flow.log_prob, ("condition", "seed")), (flow.sample, ("condition", "temperature"))):
        for name in names:
            assert name in inspect.signature(method).parameters
            assert f"{name}:" in inspect.getdoc(method)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transformer": transformers.RationalQuadratic()}, r"`transformer` must map the circle \[−π, π\)"),
        ({"transformer": "a"}, "`transformer` must be a Transformer"),
        ({"real_transformer": transformers.CircularSpline()}, "`real_transformer` must map all real numbers"),
        ({"real_transformer": "a"}, "`real_transformer` must be a Transformer"),
    ],
)
def test_transformers_of_another_domain_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        nvp.CircularSplineFlow([2], circular=[True, False], **arguments)
