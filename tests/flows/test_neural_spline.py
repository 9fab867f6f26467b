import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.flows import NeuralSplineFlow
from tfp_nvp.transformers import FromBijector, RationalQuadratic

tfb = tfp.bijectors


def tfps_spline(raw) -> tfb.Bijector:
    """TFP's spline for the raw numbers of RationalQuadratic(num_bins=4, bound=3.0)."""
    raw = tf.stack(tf.unstack(raw), axis=-1)
    sizes = [6.0 * (1e-3 + (1.0 - 4e-3) * tf.nn.softmax(raw[..., i : i + 4])) for i in (0, 4)]
    slopes = 1e-3 + tf.math.softplus(raw[..., 8:] + math.log(math.expm1(1.0 - 1e-3)))
    return tfb.RationalQuadraticSpline(*sizes, slopes, range_min=-3.0)


def test_with_tfps_spline_it_is_the_same_flow(rng):
    def make(transformer):
        return NeuralSplineFlow(
            [3], num_layers=3, hidden_units=8, transformer=transformer, condition_shape=[2], seed=0, dtype="float64"
        )

    ours, theirs = make(RationalQuadratic(num_bins=4, bound=3.0)), make(FromBijector(tfps_spline, num_parameters=11))
    for mine, other in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        mine.assign_add(0.3 * rng.normal(size=mine.shape))
        other.assign(mine)
    x, condition = 2.0 * rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    for result, right in zip(ours.encode(x, condition), theirs.encode(x, condition), strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-7, atol=1e-7)
    for result, right in zip(ours.decode(x, condition), theirs.decode(x, condition), strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(ours.log_prob(x, condition=condition), theirs.log_prob(x, condition=condition))


def test_dropout_leaves_inference_deterministic_and_invertible(rng):
    flow = NeuralSplineFlow([3], num_layers=2, hidden_units=16, dropout=0.5, seed=0, dtype="float64")
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    x = tf.constant(rng.normal(size=(20, 3)))
    np.testing.assert_array_equal(flow.log_prob(x), flow.log_prob(tf.identity(x)))
    z, _ = flow.encode(x)
    np.testing.assert_allclose(flow.decode(tf.identity(z))[0], x, atol=1e-7)
