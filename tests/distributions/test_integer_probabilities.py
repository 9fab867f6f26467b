"""Probabilities of all images of the smallest size that each image recipe takes: their sum, and the sampler's."""

import math

import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tfp_nvp._captured import construct
from tfp_nvp.bijectors import Chain, Logit, Quantile

#: Flows of pixels, and the number of grey levels.
SMALLEST = {
    "glow": (lambda: nvp.Glow([2, 2, 1], num_levels=1, num_steps=2, hidden_units=4, num_bins=3, seed=0), 3),
    "glow of two levels": (
        lambda: nvp.Glow([4, 2, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=2, seed=0),
        2,
    ),
    "image_real_nvp": (lambda: nvp.ImageRealNVP([2, 2, 1], num_levels=1, hidden_units=2, num_blocks=1, seed=0), 3),
    "image_real_nvp of two levels": (
        lambda: nvp.ImageRealNVP([4, 2, 1], num_levels=2, hidden_units=2, num_blocks=1, seed=0),
        2,
    ),
    "flow_plus_plus": (
        lambda: nvp.FlowPlusPlus([2, 4, 1], num_couplings=[1, 1, 1], hidden_units=2, num_blocks=1, seed=0),
        2,
    ),
    "subscale_flow": (
        lambda: nvp.SubscaleFlow(
            [2, 2, 1], factor=2, num_groups=2, hidden_units=2, num_blocks=1, num_bins=3, seed=0, dtype="float64"
        ),
        3,
    ),
}

#: Flows that reach beyond [0, 1], and the way out that an error names.
BEYOND = {
    "glow": (lambda: nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4), r"Glow\(\.\.\., num_bins=17\)"),
    "image_real_nvp": (
        lambda: nvp.ImageRealNVP([4, 4, 1], hidden_units=2, num_blocks=1, alpha=0.05),
        r"ImageRealNVP\(\.\.\., alpha=0\.0\)",
    ),
    "flow_plus_plus": (
        lambda: nvp.FlowPlusPlus([4, 4, 1], num_couplings=[1, 1, 1], hidden_units=2, num_blocks=1, alpha=None),
        r"FlowPlusPlus\(\.\.\., alpha=0\.0\)",
    ),
    "subscale_flow": (
        lambda: nvp.SubscaleFlow([4, 4, 1], factor=2, num_groups=2, hidden_units=2, num_blocks=1, num_bins=None),
        r"SubscaleFlow\(\.\.\., num_bins=17\)",
    ),
    "real_nvp": (
        lambda: nvp.RealNVP([2], num_layers=1, hidden_units=[2]),
        r"Chain\(\[Logit\(0\.0\), flow\.bijector\]\)",
    ),
    "logit beyond": (
        lambda: nvp.Flow(nvp.distributions.StandardNormal([2]), Logit(1e-3)),
        r"from -0\.001002 to 1\.001002\. Use tfp_nvp\.bijectors\.Logit\(0\.0\)",
    ),
}


@pytest.mark.parametrize("name", SMALLEST)
def test_probabilities_sum_to_one_and_are_those_of_the_samples(name):
    make, levels = SMALLEST[name]
    flow, rng = make(), np.random.default_rng(0)
    for variable in flow.trainable_variables:
        variable.assign_add(rng.normal(0.0, 0.05, size=variable.shape))
    digits = nvp.Dequantized(flow, levels=levels)
    size, num_samples = math.prod(flow.event_shape), 10_000
    images = np.stack(np.meshgrid(*[range(levels)] * size, indexing="ij"), -1).reshape(-1, *flow.event_shape)
    count = len(images)
    num_draws = 50_000 // count

    @tf.function
    def draw():
        x = tf.broadcast_to(tf.constant(images, tf.int32), [num_draws, count, *flow.event_shape])
        return digits.log_prob(x, seed=1), digits.sample(num_samples, seed=2)

    log_weights, samples = draw()
    weights = np.exp(log_weights.numpy().astype(np.float64))
    totals = weights.sum(axis=1)
    error = totals.std() / math.sqrt(num_draws)
    assert abs(totals.mean() - 1.0) < 5.0 * error
    assert abs(totals.mean() - 1.0) < 0.01

    probabilities, errors = weights.mean(axis=0), weights.std(axis=0) / math.sqrt(num_draws)
    places = np.ravel_multi_index(samples.numpy().reshape(-1, size).T, [levels] * size)
    frequencies = np.bincount(places, minlength=count) / num_samples
    variances = probabilities * (1.0 - probabilities) / num_samples + errors**2
    variation = 0.5 * np.abs(frequencies - probabilities).sum()
    expected = 0.5 * math.sqrt(2.0 / math.pi) * np.sqrt(variances).sum()  # the mean of |N(0, σ²)| is σ √(2 / π)
    assert variation < expected + 5.0 * 0.5 * math.sqrt(variances.sum())


@pytest.mark.parametrize("name", BEYOND)
def test_a_flow_that_reaches_beyond_is_refused(name):
    make, way_out = BEYOND[name]
    with pytest.raises(ValueError, match=r"`flow` must reach nothing beyond \[0, 1\].*" + way_out):
        nvp.Dequantized(make(), levels=17)


def test_the_way_out_works_for_any_flow(rng):
    flow = nvp.RealNVP([2], num_layers=1, hidden_units=[2], seed=0)
    for front in (Logit(0.0), Quantile([2], num_bins=4)):
        digits = nvp.Dequantized(nvp.Flow(flow.distribution, Chain([front, flow.bijector])), levels=4)
        assert np.isfinite(digits.log_prob(rng.integers(4, size=(5, 2)))).all()


@pytest.mark.parametrize(
    "recipe", [nvp.Glow, nvp.ImageRealNVP, nvp.FlowPlusPlus, nvp.ImageResidualFlow, nvp.SubscaleFlow]
)
def test_presets_are_of_pixels(recipe):
    for shape, arguments in recipe.PRESETS.items():
        small = {"hidden_units": 2} | ({"num_steps": 1} if "num_steps" in arguments else {"num_blocks": 1})
        if recipe is nvp.SubscaleFlow:
            small |= {"num_groups": 2}
        flow = recipe.preset(shape, seed=0, **small)
        assert flow.data_range == (0.0, 1.0)
        nvp.Dequantized(flow)


def test_glow_of_real_numbers_is_as_it_was(rng):
    flow = nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, seed=0)
    assert flow.data_range.is_whole
    x = 10.0 + 5.0 * rng.normal(size=(20, 4, 4, 1)).astype(np.float32)
    flow.initialize(x)
    assert np.isfinite(flow.log_prob(x)).all()


def test_one_of_a_file_is_kept_with_a_warning(rng):
    glow = nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, condition_shape=[2], seed=0)
    with pytest.warns(UserWarning, match=r"reach nothing beyond \[0, 1\].*It is kept only as it comes from a file"):
        digits = construct(nvp.Dequantized, {"flow": glow, "levels": 4})
    x, condition = rng.integers(4, size=(3, 4, 4, 1)), np.ones([3, 2], np.float32)
    right = digits.log_prob(x, condition=condition, seed=1)
    with pytest.warns(UserWarning, match="reach nothing beyond"):
        given = digits.given(condition)
    np.testing.assert_allclose(given.log_prob(x, seed=1), right, rtol=1e-5)
