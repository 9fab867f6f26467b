"""Densities and gradients are numbers or infinite, never NaN, whatever the weights and however far the data."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import flows, solvers, transformers

RECIPES = {
    "nice": lambda **kw: flows.NICE([5], hidden_units=[32, 32], **kw),
    "real_nvp": lambda **kw: flows.RealNVP([5], hidden_units=[32, 32], **kw),
    "maf": lambda **kw: flows.MAF([5], hidden_units=[32, 32], **kw),
    "maf_residual": lambda **kw: flows.MAF([5], hidden_units=32, num_blocks=2, **kw),
    "maf_mixture": lambda **kw: flows.MAF([5], hidden_units=[32], transformer=transformers.MixtureOfLogistics(), **kw),
    "iaf": lambda **kw: flows.IAF([5], hidden_units=[32, 32], **kw),
    "neural_spline": lambda **kw: flows.NeuralSplineFlow([5], hidden_units=32, **kw),
    "circular_spline": lambda **kw: flows.CircularSplineFlow(
        [5], circular=[True, False, True, False, False], num_layers=3, hidden_units=32, **kw
    ),
    "planar": lambda **kw: flows.PlanarFlow([5], hidden_units=16, num_layers=8, **kw),
    "radial": lambda **kw: flows.RadialFlow([5], hidden_units=16, num_layers=8, **kw),
    "sylvester": lambda **kw: flows.SylvesterFlow([5], hidden_units=16, num_layers=3, **kw),
    "sylvester_householder": lambda **kw: flows.SylvesterFlow([5], basis="householder", num_layers=3, **kw),
    "augmented": lambda **kw: flows.AugmentedFlow([5], num_layers=4, hidden_units=16, **kw),
    "tar_flow": lambda **kw: flows.TarFlow([4, 4, 1], num_layers=2, hidden_units=16, num_blocks=2, **kw),
    "block_naf": lambda **kw: flows.BlockNAF([5], num_layers=3, hidden_units=8, **kw),
    "residual": lambda **kw: flows.ResidualFlow([5], hidden_units=[16, 16], num_layers=3, **kw),
    "residual_estimated": lambda **kw: flows.ResidualFlow([5], hidden_units=[16], num_layers=2, max_exact=0, **kw),
    "real_nvp_bernstein": lambda **kw: flows.RealNVP(
        [5], num_layers=3, hidden_units=[16], transformer=transformers.Bernstein(), **kw
    ),
    "real_nvp_sum_of_squares": lambda **kw: flows.RealNVP(
        [5], num_layers=3, hidden_units=[16], transformer=transformers.SumOfSquares(), **kw
    ),
    "real_nvp_deep_sigmoidal": lambda **kw: flows.RealNVP(
        [5], num_layers=3, hidden_units=[16], transformer=transformers.DeepSigmoidal(), **kw
    ),
    "real_nvp_unconstrained": lambda **kw: flows.RealNVP(
        [5], num_layers=3, hidden_units=[16], transformer=transformers.UnconstrainedMonotonic(), **kw
    ),
    "continuous": lambda **kw: flows.ContinuousFlow(
        [5], hidden_units=[16], activation="tanh", solver=solvers.RungeKutta4(2), **kw
    ),
    "glow": lambda **kw: flows.Glow([4, 4, 1], num_steps=4, hidden_units=32, **kw),
    "image_real_nvp": lambda **kw: flows.ImageRealNVP([4, 4, 1], hidden_units=16, **kw),
    "image_real_nvp_plain": lambda **kw: flows.ImageRealNVP([4, 4, 1], hidden_units=16, alpha=None, **kw),
    "image_residual": lambda **kw: flows.ImageResidualFlow([4, 4, 1], num_steps=2, hidden_units=4, **kw),
    "flow_plus_plus": lambda **kw: flows.FlowPlusPlus([4, 4, 1], num_couplings=[2, 1, 1], hidden_units=16, **kw),
    "flow_plus_plus_plain": lambda **kw: flows.FlowPlusPlus(
        [4, 4, 1], num_couplings=[2, 1, 1], hidden_units=16, alpha=None, **kw
    ),
    "spherical_spline": lambda **kw: flows.SphericalSplineFlow([3], num_layers=3, hidden_units=16, **kw),
    "subscale": lambda **kw: flows.SubscaleFlow([4, 4, 1], factor=2, num_groups=4, hidden_units=8, **kw),
}
#: Of directions, which are never far.
OF_DIRECTIONS = {"spherical_spline"}
N = 8


@pytest.mark.parametrize("condition_shape", [[3], pytest.param(None, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("name", RECIPES)
def test_wild_weights_and_far_data_give_no_nan(rng, name: str, condition_shape: list | None):
    flow = RECIPES[name](condition_shape=condition_shape, seed=0)
    for variable in flow.trainable_variables:
        variable.assign(tf.constant(5.0 * rng.normal(size=variable.shape), variable.dtype))
    condition = {} if condition_shape is None else {"condition": tf.constant(rng.normal(size=(N, 3)), tf.float32)}
    x = tf.constant(rng.uniform(0.02, 0.98, size=(N, *flow.event_shape)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = flow.log_prob(x, **condition)
        total = tf.reduce_sum(log_prob)
    assert not np.isnan(log_prob).any()
    for gradient in tape.gradient(total, [x, *flow.trainable_variables]):
        assert not np.isnan(tf.convert_to_tensor(gradient)).any()
    for far in (1e38, -1e38):
        far_log_prob = flow.log_prob(tf.fill(x.shape, tf.constant(far)), **condition).numpy()
        assert np.isfinite(far_log_prob).all() if name in OF_DIRECTIONS else (far_log_prob < -1e30).all()
    assert not np.isnan(flow.sample(N, seed=1, **{k: v[:1] for k, v in condition.items()})).any()
    first_is_nan = tf.tensor_scatter_nd_update(x, [[0, *[0] * (x.shape.rank - 1)]], [np.nan])
    assert np.isnan(flow.log_prob(first_is_nan, **condition)).tolist() == [True] + [False] * (N - 1)
