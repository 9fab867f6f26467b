"""SubscaleFlow: what each group may look at, and that it learns; presets of all image recipes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tfp_nvp.bijectors import Squeeze


def small(**arguments):
    sizes = {"factor": 2, "num_groups": 4, "hidden_units": 4, "num_blocks": 1, "seed": 0}
    return nvp.SubscaleFlow([4, 4, 1], **{**sizes, **arguments})


def test_a_group_sees_coarser_groups_only(rng):
    """z of group i does not change with pixels of later groups."""
    flow = randomized(small(num_bins=None))
    x = rng.normal(size=(1, 4, 4, 1)).astype(np.float32)
    groups = Squeeze(2, order="dispersed").inverse(tf.reshape(tf.range(16.0), [4, 4, 1])).numpy().astype(int)
    z = flow.encode(x)[0].numpy()
    last_first = [slice(0, 4), slice(4, 8), slice(8, 12), slice(12, 16)]  # the finest group leaves first
    for moved in range(4):
        other = x.copy().reshape(-1)
        other[groups[..., moved].ravel()] += 0.7
        changed = np.abs(flow.encode(other.reshape(x.shape))[0].numpy() - z) > 1e-6
        for group in range(4):
            part = changed[0, last_first[3 - group]]
            assert part.any() == (moved <= group), (moved, group)


def test_the_first_rows_set_the_histogram(rng):
    flow = small()
    assert not flow.is_initialized
    flow.initialize(rng.uniform(size=(20, 4, 4, 1)).astype(np.float32))
    assert flow.is_initialized


def test_a_condition_reaches_the_density(rng):
    flow = randomized(small(condition_shape=[3]))
    x = rng.uniform(0.1, 0.9, size=(2, 4, 4, 1)).astype(np.float32)
    first, second = (flow.log_prob(x, condition=rng.normal(size=(2, 3))).numpy() for _ in range(2))
    assert (np.abs(first - second) > 1e-4).all()


def test_a_batch_of_no_rows_gives_none():
    flow = small()
    log_prob = tf.function(lambda x: flow.log_prob(x), input_signature=[tf.TensorSpec([None, 4, 4, 1])])
    assert log_prob(tf.zeros([0, 4, 4, 1])).shape == [0]


@pytest.mark.exhaustive
def test_it_learns_integers_that_hang_together(rng):
    """Stripes of two grey levels, in either order: one bit an image, and what the edges of two levels cost a spline."""
    keras.utils.set_random_seed(0)
    stripe = np.tile(np.arange(4) % 2, (4, 1))[..., None]
    x = np.where(rng.uniform(size=(2000, 1, 1, 1)) < 0.5, stripe, 1 - stripe).astype(np.uint8)
    model = nvp.FlowModel(nvp.Dequantized(small(num_bins=2, hidden_units=8), levels=2))
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x, batch_size=100, epochs=12, verbose=0)
    bits = 16 * model.evaluate(x, verbose=0, return_dict=True)["bits_per_dim"]
    assert 0.9 < bits < 5.0  # sixteen pixels that knew nothing of each other would take 16 bits


def test_splines_in_float64_invert_with_networks_in_float32(rng):
    """Steep splines, which magnify what rounding does to coarser groups."""
    errors = {}
    for dtype in ("float32", "float64"):
        flow = randomized(small(num_bins=None, dtype=dtype, network_dtype="float32"))
        y = tf.constant(np.random.default_rng(1).normal(size=(200, 4, 4, 1)), flow.dtype)
        errors[dtype] = float(tf.reduce_max(tf.abs(flow.decode(flow.encode(y)[0])[0] - y)))
    assert errors["float64"] < 1e-9
    assert errors["float32"] > 1e-4
    used = {layer.conditioner.compute_dtype for layer in flow.submodules if hasattr(layer, "conditioner")}
    assert used == {"float32", "float64"}  # the first group is solved by another path than it is evaluated by


EXHAUSTIVE = [pytest.param(each, marks=pytest.mark.exhaustive) for each in ({}, {"clipnorm": 1.0}, {"use_ema": True})]


@pytest.mark.parametrize("clipping", [{"global_clipnorm": 1.0}, *EXHAUSTIVE])
def test_weights_of_two_dtypes_are_trained_together(clipping, rng):
    flow = small(dtype="float64", network_dtype="float32")
    model = nvp.FlowModel(nvp.Dequantized(flow, levels=256))
    model.compile(keras.optimizers.Adam(1e-2, **clipping))
    before = {v.dtype: v.numpy() for v in flow.trainable_variables}
    model.fit(rng.integers(256, size=(64, 4, 4, 1)), batch_size=32, epochs=1, verbose=0)
    after = {v.dtype: v.numpy() for v in flow.trainable_variables}
    assert set(after) == {tf.float32, tf.float64}
    assert all((after[dtype] != before[dtype]).any() for dtype in after)


@pytest.mark.parametrize("recipe", [nvp.Glow, nvp.ImageRealNVP, nvp.FlowPlusPlus])
def test_networks_of_another_dtype(recipe, rng):
    sizes = {} if recipe is nvp.FlowPlusPlus else {"num_levels": 1}
    flow = recipe([4, 4, 1], hidden_units=4, dtype="float64", network_dtype="float32", seed=0, **sizes)
    flow.initialize(rng.uniform(size=(20, 4, 4, 1)))
    assert flow.log_prob(rng.uniform(size=(2, 4, 4, 1))).dtype == tf.float64
    assert {layer.conditioner.compute_dtype for layer in flow.submodules if hasattr(layer, "conditioner")} == {
        "float32"
    }


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match=r"multiples of `factor` = 4.*\[6, 4, 1\].*another factor"):
        nvp.SubscaleFlow([6, 4, 1])
    with pytest.raises(ValueError, match=r"`num_groups` must be at most .* 4; got 5"):
        small(num_groups=5)


@pytest.mark.parametrize(
    "recipe", [nvp.Glow, nvp.ImageRealNVP, nvp.FlowPlusPlus, nvp.ImageResidualFlow, nvp.SubscaleFlow]
)
def test_presets(recipe):
    assert {(28, 28, 1), (32, 32, 3)} <= set(recipe.PRESETS)
    with pytest.raises(
        ValueError, match=r"has presets for `event_shape` \[28, 28, 1\], \[32, 32, 3\]; got \[8, 8, 1\]"
    ):
        recipe.preset([8, 8, 1])


def test_a_presets_arguments_can_be_replaced():
    flow = nvp.Glow.preset([28, 28, 1], num_steps=1, hidden_units=4, seed=3)
    assert flow.parameters["num_steps"] == 1
    assert flow.parameters["num_levels"] == nvp.Glow.PRESETS[28, 28, 1]["num_levels"]
    assert flow.event_shape == [28, 28, 1]


def test_flow_plus_plus_has_three_parts():
    flow = nvp.FlowPlusPlus([4, 4, 2], num_couplings=[2, 1, 3], hidden_units=4, num_blocks=1, seed=0)
    names = [layer.name for layer in flow.bijector.levels[0].bijectors]
    assert sum(name.startswith("checkerboard_0") for name in names) == 2
    assert sum(name.startswith("channel_1") for name in names) == 1
    assert sum(name.startswith("conv_1") for name in names) == 1
    assert sum(name.startswith("checkerboard_2") for name in names) == 3
    with pytest.raises(ValueError, match="`num_couplings` must be three numbers"):
        nvp.FlowPlusPlus([4, 4, 1], num_couplings=[1, 1])
    for recipe, arguments in ((nvp.FlowPlusPlus, {}), (nvp.ImageRealNVP, {}), (nvp.ImageRealNVP, {"num_levels": 1})):
        shape = [1, 1, 3] if arguments else [2, 2, 1]
        with pytest.raises(ValueError, match=r"`event_shape` must have a side longer than .*; got \[\d, \d, \d\]\. "):
            recipe(shape, **arguments)
    with pytest.raises(ValueError, match=r"squeeze's factor = 2.*\[5, 4, 1\]"):
        nvp.FlowPlusPlus([5, 4, 1])
