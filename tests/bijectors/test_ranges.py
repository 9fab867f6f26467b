"""The latents that bijectors map, and the data that they reach."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import masks
from tfp_nvp.bijectors import (
    ActNorm,
    Bijector,
    Chain,
    Conditioned,
    Coupling,
    Elementwise,
    Invert,
    Logit,
    Multiscale,
    Permute,
    Quantile,
    Reverse,
    Sinh,
    Squeeze,
    Stock,
    Support,
)
from tfp_nvp.bijectors._range import WHOLE, Range, RangeError
from tfp_nvp.conditioners import MLP
from tfp_nvp.transformers import Affine, RationalQuadratic

tfb = tfp.bijectors

INF = math.inf
POSITIVE, UNIT = (0.0, INF), (0.0, 1.0)


def conditional() -> Coupling:
    return Coupling(Affine(), MLP(hidden_units=[2]), masks.half(2), condition_shape=[1])


#: A bijector, its latent range and its data range.
RANGES = {
    "logit": (lambda: Logit(0.0), WHOLE, UNIT),
    "logit beyond": (lambda: Logit(0.05), WHOLE, (-0.05 / 0.9, 1.0 + 0.05 / 0.9)),
    "quantile": (lambda: Quantile([2], num_bins=4), WHOLE, UNIT),
    "sinh": (lambda: Sinh([True, False]), WHOLE, WHOLE),
    "one support": (lambda: Support([0.0, 0.0], [1.0, 1.0]), WHOLE, UNIT),
    "sigmoid": (lambda: Stock(tfb.Sigmoid()), WHOLE, UNIT),
    "sigmoid of bounds": (lambda: Stock(tfb.Sigmoid(-1.0, 3.0)), WHOLE, (-1.0, 3.0)),
    "softplus": (lambda: Stock(tfb.Softplus()), WHOLE, POSITIVE),
    "exp": (lambda: Stock(tfb.Exp()), WHOLE, POSITIVE),
    "tanh": (lambda: Stock(tfb.Tanh()), WHOLE, (-1.0, 1.0)),
    "log": (lambda: Stock(tfb.Log()), POSITIVE, WHOLE),
    "stock invert": (lambda: Stock(tfb.Invert(tfb.Sigmoid())), UNIT, WHOLE),
    "stock chain": (lambda: Stock(tfb.Chain([tfb.Shift(1.0), tfb.Exp()])), WHOLE, (1.0, INF)),
    "not known": (lambda: Stock(tfb.ScaleMatvecTriL(tf.eye(2))), WHOLE, WHOLE),
    "invert": (lambda: Invert(Logit(0.0)), UNIT, WHOLE),
    "decreasing": (lambda: Chain([tfb.Scale(-2.0), tfb.Exp()]), WHOLE, (-INF, 0.0)),
    "log of a shift": (lambda: Chain([tfb.Log(), tfb.Shift(1.0)]), (-1.0, INF), WHOLE),
    "chain": (lambda: Chain([Logit(0.0), ActNorm([2]), tfb.Log()]), POSITIVE, UNIT),
    "moved": (lambda: Chain([Reverse(), Permute([1, 0]), tfb.Exp()]), WHOLE, POSITIVE),
    "conditioned": (lambda: Conditioned(Chain([tfb.Exp(), conditional()]), [[1.0]]), WHOLE, POSITIVE),
    "multiscale": (lambda: Multiscale([Chain([Logit(0.0), Squeeze()]), Squeeze()], [4, 4, 1]), WHOLE, UNIT),
    "multiscale of numbers": (lambda: Multiscale([Squeeze(), Chain([tfb.Exp()])], [4, 4, 1]), WHOLE, WHOLE),
}


@pytest.mark.parametrize("name", RANGES)
def test_a_bijector_states_its_ranges(name):
    make, latents, data = RANGES[name]
    bijector = make()
    assert Range(*bijector.latent_range).equals(Range(*latents)), bijector.latent_range
    assert Range(*bijector.data_range).equals(Range(*data)), bijector.data_range
    inverse = Invert(bijector) if bijector.condition_shape is None else bijector
    assert Range(*Invert(inverse).latent_range).equals(Range(*latents))


def test_bounds_of_elements_move_with_them():
    support = Support([0.0, -INF], [1.0, INF])
    np.testing.assert_array_equal(support.data_range, [[0.0, -INF], [1.0, INF]])
    for moved in (Chain([Permute([1, 0]), support]), Chain([Reverse(), support])):
        np.testing.assert_array_equal(moved.data_range, [[-INF, 0.0], [INF, 1.0]])
    squeezed = Chain([Squeeze(), tfb.Reshape([1, 1, 4]), Support([0.0] * 4, [1.0, 2.0, 3.0, 4.0])])
    np.testing.assert_array_equal(squeezed.data_range.high[..., 0], [[1.0, 2.0], [3.0, 4.0]])


def test_a_spline_keeps_its_interval_and_no_smaller_one():
    for layer in (
        Elementwise(RationalQuadratic(bound=2.0), [2]),
        Coupling(RationalQuadratic(bound=2.0), MLP(hidden_units=[2]), masks.half(2)),
        Invert(Elementwise(RationalQuadratic(bound=2.0), [2])),
    ):
        for kept in (WHOLE, Range(-2.0, 2.0), Range(-3.0, INF)):
            layer._check_latents(kept)
            assert layer._image(kept) == kept
        with pytest.raises(RangeError, match="maps latents that are all real numbers"):
            layer._check_latents(Range(0.0, INF))


def test_a_layer_of_ones_own_states_its_ranges():
    class Squared(Bijector):
        latent_range = data_range = POSITIVE

        def __init__(self):
            super().__init__(min_event_ndims=0)

    chain = Chain([tfb.Log(), Squared()])
    assert chain.latent_range == POSITIVE
    assert chain.data_range == WHOLE
    with pytest.raises(RangeError, match=r"squared maps latents that are from 0 to inf, and gets .* all real numbers"):
        chain._check_latents(WHOLE)


def test_parameters_of_a_graph_are_not_known():
    @tf.function
    def data_range(low):
        found = Chain([tfb.Sigmoid(low, low + 1.0)]).data_range
        assert found.is_whole
        return low

    data_range(tf.constant(2.0))


def test_numbers_that_rounding_moves_are_equal():
    third = float(np.float32(1.0 / 3.0))
    assert Range(0.0, third).equals(Range(0.0, 1.0 / 3.0))
    assert not Range(0.0, third).equals(Range(0.0, 0.334))
    assert Range(1e6, INF).equals(Range(1e6 * (1 + 1e-7), INF))
    assert not WHOLE.equals(Range(0.0))
    assert str(Range(0.0, 1.0)) == "from 0 to 1"
