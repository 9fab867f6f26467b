"""Integers under a density, served: uint8 in and out, noise and samples by a seed for each row."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tfp_nvp.serving import export, load


def glow(seed: int, **arguments) -> nvp.Flow:
    return randomized(nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, seed=seed, **arguments))


def dequantized(learned: bool, levels: int, rng: np.random.Generator) -> nvp.Dequantized:
    noise = glow(1, condition_shape=[4, 4, 1]) if learned else None
    model = nvp.Dequantized(glow(0, num_bins=levels), levels=levels, noise=noise)
    model.initialize(rng.integers(levels, size=(50, 4, 4, 1)))
    return model


@pytest.mark.parametrize(
    ("learned", "levels"),
    [
        pytest.param(False, 5, marks=pytest.mark.exhaustive),
        (True, 5),
        pytest.param(False, 1000, marks=pytest.mark.exhaustive),
    ],
)
def test_an_export_serves_integers(learned, levels, rng, tmp_path):
    model = dequantized(learned, levels, rng)
    folder = export(model, tmp_path / "digits")  # which compares every signature in a new process
    served = load(folder)
    x = rng.integers(levels, size=(6, 4, 4, 1))
    log_prob = served.log_prob(x, seed=3)
    # Its mean over draws of the noise is that of Python's.
    many = np.tile(x, (300, 1, 1, 1))
    ours, theirs = (np.reshape(of.log_prob(many, seed=4), (300, 6)) for of in (served, model))
    error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 300)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 5 * error).all()
    np.testing.assert_array_equal(served.log_prob(x, seed=3), log_prob)
    z, log_det = served.encode(x, seed=3)
    assert log_det is None
    np.testing.assert_array_equal(served.decode(z)[0], x)
    samples = served.sample(20, seed=1)
    assert samples.dtype == (np.uint8 if levels == 5 else np.int32)
    assert set(np.unique(samples)) <= set(range(levels))
    assert served.sample(2, seed=1, temperature=0.5).shape == (2, 4, 4, 1)
    specs = tf.saved_model.load(str(folder)).signatures["log_prob"].structured_input_signature[1]
    assert specs["x"].dtype == model.integer_dtype


def test_a_row_is_answered_alike_whoever_shares_its_batch(rng, tmp_path):
    model = dequantized(True, 5, rng)
    function = tf.saved_model.load(str(export(model, tmp_path / "digits", verify=False))).signatures["log_prob"]
    x = tf.constant(rng.integers(5, size=(4, 4, 4, 1)), tf.uint8)
    seed = tf.constant([[1, 2], [3, 4], [5, 6], [7, 8]])
    together = function(x=x, seed=seed)["log_prob"]
    for i in range(4):
        np.testing.assert_allclose(
            function(x=x[i : i + 1], seed=seed[i : i + 1])["log_prob"], together[i : i + 1], 1e-5
        )


def test_what_can_not_be_has_no_density(rng, tmp_path):
    served = load(export(dequantized(False, 5, rng), tmp_path / "digits", verify=False))
    x = np.zeros((2, 4, 4, 1), np.int64)
    x[1, 0, 0, 0] = 5
    log_prob = served.log_prob(x)
    assert np.isfinite(log_prob[0])
    assert log_prob[1] == -np.inf
    for wrong in (x + 256, x - 1.0, x + 0.5):
        with pytest.raises(ValueError, match="integers that fit uint8"):
            served.log_prob(wrong)


def test_a_condition_is_real_and_what_is_out_of_range_has_no_latents(rng, tmp_path):
    model = nvp.Dequantized(glow(0, condition_shape=[3], num_bins=17), levels=17)
    x, condition = rng.integers(17, size=(6, 4, 4, 1)), rng.normal(size=(6, 3)).astype(np.float32)
    model.initialize(x, condition)
    served = load(export(model, tmp_path / "digits", verify=False))
    np.testing.assert_array_equal(served.decode(*served.encode(x, condition, seed=1)[:1], condition)[0], x)
    other = served.log_prob(x, condition + 0.3, seed=1)
    assert np.isfinite(other).all()
    assert (other != served.log_prob(x, condition, seed=1)).all()
    condition[2] = np.nan
    assert np.isnan(served.log_prob(x, condition, seed=1)).nonzero()[0].tolist() == [2]
    condition[2] = 0.0
    x[4, 0, 0, 0] = 17
    z, _ = served.encode(x, condition, seed=1)
    assert np.isnan(z).any(axis=1).nonzero()[0].tolist() == [4]
