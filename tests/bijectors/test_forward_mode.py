"""Derivatives in forward mode are right, or refused."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conformance.cases import randomized

SIZES = {"seed": 0, "dtype": "float64"}
#: By name, and whether each of `log_prob` and `bijector.forward` has forward-mode derivatives.
FLOWS = {
    "continuous": (
        lambda: nvp.ContinuousFlow([2], hidden_units=[4], solver=nvp.solvers.RungeKutta4(2), **SIZES),
        (0, 0),
    ),
    "maf": (lambda: nvp.MAF([2], num_layers=1, hidden_units=[4], **SIZES), (1, 0)),
    "residual": (lambda: nvp.ResidualFlow([2], num_layers=1, hidden_units=[4], **SIZES), (1, 1)),
    "block_naf": (lambda: nvp.BlockNAF([2], num_layers=1, hidden_units=2, **SIZES), (1, 1)),
    "planar": (lambda: nvp.PlanarFlow([2], num_layers=1, **SIZES), (1, 1)),
    "real_nvp": (lambda: nvp.RealNVP([2], num_layers=2, hidden_units=[4], **SIZES), (1, 1)),
}


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("direction", [0, 1])
def test_products_of_the_jacobian_with_a_vector(name, direction, rng):
    make, known = FLOWS[name]
    flow = randomized(make())
    function = (flow.log_prob, flow.bijector.forward)[direction]
    x, vector = (tf.constant(rng.normal(size=(3, 2))) for _ in range(2))
    if not known[direction]:
        with pytest.raises(NotImplementedError, match=r"reverse mode alone, not by tf\.autodiff\.ForwardAccumulator"):
            _forward_mode(function, x, vector)
        return
    step = 1e-5
    difference = (function(x + step * vector) - function(x - step * vector)) / (2.0 * step)
    np.testing.assert_allclose(_forward_mode(function, x, vector), difference, rtol=1e-5, atol=1e-7)


def _forward_mode(function, x, vector):
    with tf.autodiff.ForwardAccumulator(x, vector) as accumulator:
        value = function(x)
    return accumulator.jvp(value)
