"""Integers under a density: normalization, bounds, noise, and the errors for what is no integer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.conformance.cases import in_unit_interval, randomized
from tfp_nvp.bijectors import Chain
from tfp_nvp.distributions import StandardNormal

tfb, tfd = tfp.bijectors, tfp.distributions


def unit_flow() -> nvp.Flow:
    """A density of [0, 1]² that is not uniform, all of whose mass lies inside."""
    return nvp.Flow(StandardNormal([2]), Chain([tfb.Sigmoid(), tfb.Scale([0.7, 1.3]), tfb.Shift([0.3, -0.5])]))


def noise_flow() -> nvp.Flow:
    base = tfd.Independent(tfd.Logistic(np.zeros(2, np.float32), 1.0), 1)
    noise = nvp.RealNVP([2], num_layers=2, hidden_units=[4], condition_shape=[2], base=base, seed=1)
    rng = np.random.default_rng(0)
    for variable in noise.trainable_variables:  # not far from uniform: the weights p / q must have a variance
        variable.assign_add(0.1 * rng.normal(size=variable.shape))
    return noise


@pytest.mark.parametrize("learned", [False, True])
def test_probabilities_of_all_integers_sum_to_one(learned):
    digits = nvp.Dequantized(unit_flow(), levels=4, noise=noise_flow() if learned else None)
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(4)), axis=-1).reshape(-1, 2)
    total = tf.reduce_sum(tf.exp(digits.log_prob(grid, num_samples=50_000, seed=1)))
    assert np.isclose(total, 1.0, atol=0.01)


def test_more_samples_tighten_the_bound():
    digits = nvp.Dequantized(unit_flow(), levels=3)
    x = tf.constant([[0, 2]] * 2000)
    bounds = [float(tf.reduce_mean(digits.log_prob(x, num_samples=s, seed=s))) for s in (1, 4, 32)]
    assert bounds[0] < bounds[1] < bounds[2]


def test_bits_per_dim_of_a_uniform_density():
    uniform = nvp.Flow(tfd.Independent(tfd.Uniform(np.zeros(3, np.float32), 1.0), 1), tfb.Identity())
    digits = nvp.Dequantized(uniform, levels=8)
    np.testing.assert_allclose(digits.bits_per_dim([[0, 3, 7], [1, 1, 1]]), [3.0, 3.0], rtol=1e-6)


def test_the_change_of_variables_of_learned_noise(rng):
    """log q(u | x) against the noise flow's density of logit(u), minus log u (1 − u)."""
    noise = noise_flow()
    digits = nvp.Dequantized(unit_flow(), levels=4, noise=noise)
    x = rng.integers(4, size=(6, 2))
    y, log_q = digits.dequantize(x, seed=3)
    u = y.numpy().astype(np.float64) * 4 - x
    assert (u > 0).all()
    assert (u < 1).all()
    condition = ((x + 0.5) / 4 - 0.5).astype(np.float32)
    right = noise.log_prob(np.log(u / (1 - u)).astype(np.float32), condition=condition) - np.log(u * (1 - u)).sum(-1)
    np.testing.assert_allclose(log_q, right, atol=1e-3)


def test_seeds_repeat_and_none_draws_anew():
    digits = nvp.Dequantized(unit_flow(), levels=4)
    x = tf.constant([[1, 2]])
    np.testing.assert_array_equal(digits.log_prob(x, seed=5), digits.log_prob(x, seed=5))
    assert digits.log_prob(x) != digits.log_prob(x)
    log_prob = tf.function(lambda x: digits.log_prob(x), jit_compile=True)
    assert log_prob(x) != log_prob(x)


def test_samples_and_latents_are_integers_of_the_range():
    digits = nvp.Dequantized(
        randomized(nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=5, seed=0)), 5
    )
    x = digits.sample([3, 2], seed=1)
    assert x.dtype == tf.int32
    assert x.shape == [3, 2, 4, 4, 1]
    assert set(np.unique(x)) <= set(range(5))
    np.testing.assert_array_equal(digits.decode(digits.encode(x, seed=2)[0])[0], x)


def test_rounding_never_puts_a_value_on_the_bounds():
    digits = nvp.Dequantized(unit_flow())
    y, _ = digits.dequantize(tf.constant([[0, 255]] * 2_000_000), seed=1)
    assert float(tf.reduce_min(y)) > 0.0
    assert float(tf.reduce_max(y)) < 1.0


@pytest.mark.parametrize("value", [-1, 4, 1.5, float("nan")])
def test_what_is_no_integer_of_the_range_is_refused(value):
    with pytest.raises(ValueError, match="integers from 0 to levels − 1 = 3"):
        nvp.Dequantized(unit_flow(), levels=4).log_prob([[0, value]])


def test_noise_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"`noise` must have the flow's event shape \[2\]"):
        nvp.Dequantized(unit_flow(), noise=nvp.RealNVP([2], num_layers=1, hidden_units=[2]))
    with pytest.raises(TypeError, match="`flow` must be"):
        nvp.Dequantized(tfd.Normal(0.0, 1.0))


@pytest.mark.parametrize("learned", [False, True])
def test_it_trains_saves_and_reports_bits_per_dim(learned, tmp_path, rng):
    keras.utils.set_random_seed(0)
    x = rng.binomial(3, 0.3, size=(400, 4, 4, 1)).astype(np.uint8)
    noise = None
    if learned:
        noise = nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, condition_shape=[4, 4, 1], seed=2)
    flow = nvp.Glow([4, 4, 1], num_levels=1, num_steps=2, hidden_units=4, num_bins=4, seed=0)
    model = nvp.FlowModel(nvp.Dequantized(flow, levels=4, noise=noise))
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(x, batch_size=50, epochs=6, verbose=0).history["bits_per_dim"]
    assert history[-1] < history[0]
    assert all(variable.trainable_variables for variable in (flow, noise) if variable is not None)
    report = model.evaluate(x, verbose=0, return_dict=True)
    assert np.isclose(report["bits_per_dim"], report["nll"] / (16 * np.log(2.0)), rtol=1e-5)
    assert report["bits_per_dim"] < 2.0  # log₂ 4
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").distribution
    np.testing.assert_array_equal(again.log_prob(x[:5], seed=1), model.distribution.log_prob(x[:5], seed=1))


def test_samples_of_the_noise_stay_apart_from_the_batch_of_the_condition(rng):
    flow = randomized(nvp.RealNVP([2], num_layers=2, hidden_units=[4], condition_shape=[3], seed=0))
    digits = nvp.Dequantized(in_unit_interval(flow), levels=4)
    conditions = rng.normal(size=(4, 3)).astype(np.float32)
    x = np.array([1, 2])
    for samples in (1, 4, 7):
        assert digits.log_prob(x, condition=conditions, num_samples=samples).shape == [4]
        assert digits.given(conditions).log_prob(x, num_samples=samples).shape == [4]
    many = [digits.log_prob(x, condition=c, num_samples=4000, seed=1) for c in conditions]
    np.testing.assert_allclose(digits.log_prob(x, condition=conditions, num_samples=4000, seed=1), many, atol=0.05)


def test_fractions_have_no_density_in_a_graph_either():
    digits = nvp.Dequantized(unit_flow(), levels=4)
    x = tf.constant([[1.0, 2.0], [1.0, 0.5], [1.0, np.nan], [4.0, 0.0]])
    log_prob = tf.function(lambda x: digits.log_prob(x))(x).numpy()
    assert np.isfinite(log_prob[0])
    assert (log_prob[1:] == -np.inf).all()


def test_fractions_and_what_is_out_of_range_are_refused_by_fit_and_have_no_density_in_predict(rng):
    model = nvp.FlowModel(nvp.Dequantized(unit_flow(), levels=4))
    x = rng.integers(4, size=(32, 2))
    predicted = model.predict(np.concatenate([x[:2], x[:2] + 4, x[:2] - 4]), verbose=0)
    assert np.isfinite(predicted[:2]).all()
    assert (predicted[2:] == -np.inf).all()
    assert model.predict(x / 3.7, verbose=0).min() == -np.inf
    trainable = nvp.FlowModel(
        nvp.Dequantized(in_unit_interval(nvp.RealNVP([2], num_layers=1, hidden_units=[4])), levels=4)
    )
    trainable.compile()
    with pytest.raises(ValueError, match="`validation_data` must hold integers"):
        trainable.fit(x, validation_data=(x + 1,), verbose=0)
    with pytest.raises(ValueError, match="`x` must hold integers"):
        trainable.fit(x / 4, verbose=0)


def test_too_many_levels_are_refused():
    with pytest.raises(ValueError, match=r"`levels` must be in \[2, 65536\]; got \d+\. Model finer values"):
        nvp.Dequantized(unit_flow(), levels=2**17)


def test_samples_with_their_log_prob_and_bits_of_a_model():
    model = nvp.FlowModel(nvp.Dequantized(unit_flow(), levels=4))
    x, log_prob = model.distribution.sample_and_log_prob(5, seed=1)
    assert x.shape == [5, 2]
    assert log_prob.shape == [5]
    bits = model.bits_per_dim(x, num_samples=3, seed=2)
    np.testing.assert_allclose(bits, -model.log_prob(x, num_samples=3, seed=2) / (2 * np.log(2.0)), rtol=1e-6)


@pytest.mark.parametrize("levels", [3, 17, 256, 65536])
def test_noise_never_leaves_a_level(levels):
    flow = nvp.Flow(StandardNormal([4096]), Chain([nvp.bijectors.Logit(0.0)]))
    digits = nvp.Dequantized(flow, levels=levels)
    x = tf.tile(tf.range(levels)[-4096:], [4096 // levels + 1])[:4096]
    for u in (0.0, 1e-9, 0.5, 1.0 - 2.0**-24, 1.0):
        y = digits.add_noise(x, tf.fill([4096], u))
        np.testing.assert_array_equal(digits.quantize(y), x)
        assert float(tf.reduce_min(y)) > 0.0
        assert float(tf.reduce_max(y)) < 1.0


def test_nan_becomes_no_integer():
    digits = nvp.Dequantized(
        randomized(nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=256, seed=0))
    )
    z = np.full([2, 16], np.nan, np.float32)
    with pytest.raises(ValueError, match="NaN where integers should come of"):
        digits.decode(z)
    assert not tf.function(digits.decode)(z)[0].numpy().any()


def test_what_is_out_of_range_has_no_latents_and_no_density_in_a_graph():
    digits = nvp.Dequantized(
        randomized(nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=256, seed=0))
    )
    digits.initialize(np.random.default_rng(0).integers(256, size=(20, 4, 4, 1)))
    x = np.stack([np.full([4, 4, 1], 7), np.full([4, 4, 1], 7 + 2**32), np.full([4, 4, 1], -1)])
    log_prob = tf.function(digits.log_prob)(tf.constant(x, tf.int64), seed=0).numpy()
    assert np.isfinite(log_prob[0])
    assert (log_prob[1:] == -np.inf).all()
    z = tf.function(lambda x: digits.encode(x, seed=0)[0])(tf.constant(x, tf.int64)).numpy()
    assert np.isfinite(z[0]).all()
    assert np.isnan(z[1:]).all()


def test_sizes_that_are_not_known_are_checked_in_the_graph():
    digits = nvp.Dequantized(
        nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=5, seed=0), levels=5
    )
    log_prob = tf.function(lambda x: digits.log_prob(x, seed=1), input_signature=[tf.TensorSpec([None] * 4, tf.int32)])
    assert log_prob(np.ones((2, 4, 4, 1), np.int32)).shape == [2]
    with pytest.raises(tf.errors.InvalidArgumentError):
        log_prob(np.ones((2, 4, 1, 1), np.int32))


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (lambda x: np.ma.masked_array(x, np.ones_like(x)), ValueError, "`x` is a masked array"),
        (lambda x: x + 0j, TypeError, "complex numbers"),
        (lambda x: x.astype(str), TypeError, "text"),
        (lambda x: x.astype("M8[s]"), TypeError, "dates"),
    ],
)
def test_what_is_no_integer_is_refused_by_name(value, error, message):
    model = nvp.Dequantized(in_unit_interval(nvp.RealNVP([3], num_layers=1, hidden_units=[4], seed=0)), levels=3)
    x = np.ones([2, 3], np.int64)
    np.testing.assert_array_equal(model.log_prob(x.astype(object), seed=1), model.log_prob(x, seed=1))
    with pytest.raises(error, match=message):
        model.log_prob(value(x), seed=1)
