import pytest

from tfp_nvp.transformers import Affine, RationalQuadratic, Shift, Transformer


def test_transformers_of_equal_arguments_are_equal():
    assert RationalQuadratic(num_bins=4) == RationalQuadratic(num_bins=4)
    assert hash(RationalQuadratic(num_bins=4)) == hash(RationalQuadratic(num_bins=4))
    assert RationalQuadratic(num_bins=4) != RationalQuadratic(num_bins=5)
    assert Shift() != Affine()


@pytest.mark.parametrize("transformer", [Shift(), Affine(bound=2.0), RationalQuadratic(num_bins=3, min_slope=0.1)])
def test_a_config_makes_an_equal_one(transformer: Transformer):
    assert type(transformer).from_config(transformer.get_config()) == transformer


def test_its_text_makes_an_equal_one():
    assert eval(repr(Affine(bound=2.0))) == Affine(bound=2.0)


def test_both_directions_must_be_written():
    with pytest.raises(TypeError, match="abstract"):
        Transformer()
