"""Arguments that a class or function does not take are answered by the one that was probably meant."""

import inspect

import numpy as np
import pytest

import tfp_nvp as nvp
from tfp_nvp import _keywords, bijectors, distributions, flows, transformers


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (nvp.RealNVP, {"num_bins": 8}, r"transformer=RationalQuadratic\(num_bins=…\)"),
        (nvp.NeuralSplineFlow, {"bins": 8}, r"transformer=RationalQuadratic\(num_bins=…\)"),
        (nvp.MAF, {"tail_bound": 3.0}, r"transformer=RationalQuadratic\(bound=…\)"),
        (nvp.FlowPlusPlus, {"num_mixtures": 3}, r"transformer=MixtureOfLogistics\(num_components=…\)"),
        (nvp.RealNVP, {"context": 3}, "Did you mean `condition_shape`"),
        (nvp.MAF, {"condition": [3]}, "Did you mean `condition_shape`"),
        (nvp.IAF, {"hidden_features": [8]}, "Did you mean `hidden_units`"),
        (nvp.NICE, {"n_layers": 3}, "Did you mean `num_layers`"),
        (nvp.MAF, {"reverse_ordering": False}, 'Did you mean `order`. order="reversed" is its True, order="same" its'),
        (nvp.RealNVP, {"mask": "checkerboard"}, "Did you mean `mask_type`"),
        (nvp.Glow, {"num_level": 3}, "Did you mean `num_levels`"),
        (nvp.Flow, {"base": None}, "Did you mean `distribution`"),
        (transformers.RationalQuadratic, {"bins": 3}, "Did you mean `num_bins`"),
        (transformers.Affine, {"xyz": 3}, "It takes `bound`"),
        (bijectors.Permute, {"order": [1, 0]}, "It takes `permutation`, `name`"),
        (distributions.StandardNormal, {"dims": 3}, "Did you mean `event_shape`"),
    ],
)
def test_an_unknown_argument_of_a_class(cls, arguments, message):
    with pytest.raises(TypeError, match=rf"{cls.__name__} has no argument `{next(iter(arguments))}`\. .*{message}"):
        cls(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_bins": 8}, r"partial\(tfp_nvp\.NeuralSplineFlow, transformer=RationalQuadratic\(num_bins=…\)\)"),
        ({"num_layers": 8}, r"functools\.partial\(tfp_nvp\.NeuralSplineFlow, num_layers=…\)"),
        ({"context": None}, "Did you mean `condition`"),
        ({"n_epochs": 3}, "Did you mean `epochs`"),
        ({"validation_spilt": 0.1}, "Did you mean `validation_split`"),
        ({"bounds": (0, 1)}, "Did you mean `support`"),
    ],
)  # fmt: skip
def test_an_unknown_argument_of_fit(arguments, message):
    with pytest.raises(TypeError, match=rf"fit has no argument `{next(iter(arguments))}`\. .*{message}"):
        nvp.fit(np.zeros([30, 2]), **arguments)


def test_arguments_by_position_and_missing_ones():
    with pytest.raises(TypeError, match=r"takes 1 argument\(s\) without a name \(event_shape\); got 2\. .*num_layers="):
        nvp.RealNVP([2], 4)
    with pytest.raises(TypeError, match="RealNVP needs the argument `event_shape`"):
        nvp.RealNVP(num_layers=4)
    with pytest.raises(TypeError, match="Flow needs the argument `bijector`"):
        nvp.Flow(distributions.StandardNormal([2]))
    with pytest.raises(TypeError, match="fit needs the argument `x`"):
        nvp.fit()


def test_the_tables_are_of_arguments_that_there_are():
    for name, transformer in _keywords.OF_TRANSFORMERS.items():
        assert name in inspect.signature(getattr(transformers, transformer)).parameters
    recipes = [inspect.signature(getattr(flows, name)).parameters for name in flows.__all__]
    for name in _keywords.OF_RECIPES:
        assert any(name in parameters for parameters in recipes)


def test_what_a_class_takes_is_not_refused():
    class Own(nvp.Flow):
        def __init__(self, size, *others, scale=1.0, **rest):
            super().__init__(distributions.StandardNormal([size]), bijectors.Reverse(), **rest)

    assert Own(2, 3, 4, scale=2.0, name="own").event_shape == [2]
