"""Ranks and coverage of models whose calibration is known."""

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp
from scipy import stats

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp.bijectors import Coupling
from tfp_nvp.conditioners import MLP
from tfp_nvp.evaluation import credibility, plot_calibration, ranks, tarp
from tfp_nvp.transformers import Affine

tfd = tfp.distributions
M, S = 1000, 99


def model(shift: float = 0.0, log_scale: float = 0.0) -> nvp.Flow:
    """p(x | c) = N(c + shift, exp(2 log_scale)) of two elements."""
    network = MLP(4, hidden_units=[4], activation="linear")
    layer = Coupling(Affine(), network, np.zeros(2, bool), condition_shape=[2])
    network.hidden_layers[0].kernel.assign(np.eye(2, 4))
    network.output_layer.kernel.assign(np.eye(4))
    network.output_layer.bias.assign([shift, shift, log_scale, log_scale])
    return nvp.Flow(tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0]), layer)


@pytest.fixture
def pairs(rng):
    condition = rng.normal(size=(M, 2))
    return condition + rng.normal(size=(M, 2)), condition


def uniform(values: np.ndarray) -> float:
    """p-value of a test against the uniform distribution on [0, 1]."""
    return stats.kstest(values, "uniform").pvalue


def test_a_true_model_is_calibrated(pairs):
    found = ranks(model(), *pairs, num_samples=S)
    assert found.shape == (M, 2)
    assert found.min() >= 0
    assert found.max() <= S
    assert uniform((found[:, 0] + 0.5) / (S + 1)) > 0.01
    assert uniform(credibility(model(), *pairs, num_samples=S)) > 0.01


def test_one_that_is_too_wide_or_too_narrow_or_biased_is_not(pairs):
    wide, narrow, biased = (
        ranks(model(*a), *pairs, num_samples=S)[:, 0] for a in ((0.0, 0.7), (0.0, -0.7), (1.0, 0.0))
    )
    assert wide.std() < 0.8 * S / np.sqrt(12) < 1.2 * S / np.sqrt(12) < narrow.std() * 1.05
    assert biased.mean() < 0.35 * S
    assert np.mean(credibility(model(0.0, 0.7), *pairs, num_samples=S) < 0.5) > 0.7
    assert np.mean(credibility(model(0.0, -0.7), *pairs, num_samples=S) < 0.5) < 0.3


def test_regions_around_random_points_hold_as_much_as_they_say(pairs):
    x, condition = pairs
    levels = tarp(model(), x, condition, num_samples=S)
    assert levels.shape == (M,)
    assert uniform(levels) > 0.01
    assert uniform(tarp(model(), x, condition, references=condition + 1.0, num_samples=S)) > 0.01
    assert np.mean(tarp(model(1.0), x, condition, references=condition + 3.0, num_samples=S)) > 0.75  # too near to r
    narrow = tarp(model(0.0, -0.7), x, condition, num_samples=S)
    assert narrow.var() > 1.3 / 12  # of the uniform distribution 1 / 12
    np.testing.assert_array_equal(levels, tarp(model(), x, condition, num_samples=S))


def test_only_points_that_depend_on_the_condition_tell_that_a_model_ignores_it(pairs):
    """Theorem 3 of Lemos et al. (2023): x has the variance 2, and the prior is N(0, 2)."""
    x, condition = pairs
    prior = model(0.0, 0.5 * np.log(2.0))
    ignored = np.zeros_like(condition)
    assert uniform(tarp(prior, x, ignored, num_samples=S)) > 0.01
    assert uniform(tarp(prior, x, ignored, references=3.0 * condition, num_samples=S)) < 1e-6


def test_regions_around_points_are_counted_in_scaled_columns(pairs):
    x, condition = (part * [1.0, 3.0] for part in pairs)
    points = 2.0 * condition
    samples = model().sample(S, condition=condition, seed=(0, 0)).numpy()
    scale = np.ptp(x.astype(np.float32), axis=0)
    own, others = (np.linalg.norm((value - points) / scale, axis=-1) for value in (x, samples))
    levels = tarp(model(), x, condition, references=points, num_samples=S)
    assert np.abs(np.floor(levels * (S + 1)) - (others < own).sum(axis=0)).max() <= 1  # float32
    assert (np.floor(levels * (S + 1)) == (others < own).sum(axis=0)).mean() > 0.98
    with pytest.raises(ValueError, match=r"`references` must have the shape of x, \[1000, 2\]; got \[1000, 1\]"):
        tarp(model(), x, condition, references=x[:, :1])


def test_parts_that_are_drawn_one_after_the_other_are_all_there(pairs, monkeypatch):
    whole = ranks(model(), *pairs, num_samples=S)
    monkeypatch.setattr("tfp_nvp.evaluation._samples.EVENTS", 300 * S)
    parts = ranks(model(), *pairs, num_samples=S)
    assert parts.shape == whole.shape
    assert np.abs(parts - whole).mean() < 0.1 * S


def test_a_fitted_model_can_be_given(pairs):
    x, condition = pairs
    fitted = nvp.fit(x, condition, flow=small, epochs=1, seed=0, verbose=0)
    assert ranks(fitted, x[:20], condition[:20], num_samples=9, seed=1).shape == (20, 2)
    assert credibility(fitted, x[:20], condition[:20], num_samples=9).shape == (20,)


def test_levels_are_uniform_for_few_samples_too(pairs):
    assert uniform(credibility(model(), *pairs, num_samples=3)) > 0.01


def test_nan_is_no_hit(pairs):
    x, condition = (np.array(part) for part in pairs)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"`x` is NaN in 1 row\(s\): \[3\]"):
        ranks(model(), x, condition)
    condition[5] = np.nan
    with pytest.raises(ValueError, match=r"A sample for the condition is NaN in 1 row\(s\): \[5\]"):
        credibility(model(), pairs[0], condition)


def test_conditions_are_whatever_the_model_takes(pairs):
    x, condition = pairs
    parts = {"a": keras.Input([1], name="a"), "b": keras.Input([1], name="b")}
    encoder = keras.Model(parts, keras.layers.Concatenate()([parts["a"], parts["b"]]))
    fitted = nvp.FlowModel(model(), encoder=encoder)
    found = ranks(fitted, x, {"a": condition[:, :1], "b": condition[:, 1:]}, num_samples=S)
    np.testing.assert_array_equal(found, ranks(model(), x, condition, num_samples=S))


def test_every_row_needs_a_condition(pairs):
    x, condition = pairs
    with pytest.raises(ValueError, match="a condition for each row"):
        ranks(model(), x, condition[:-1])
    with pytest.raises(ValueError, match="a condition for each row"):
        ranks(model(), x, None)


def test_the_picture_shows_ranks_and_coverage(pairs, tmp_path):
    found = ranks(model(), *pairs, num_samples=S), credibility(model(), *pairs, num_samples=S)
    figure = plot_calibration(found[0], S, found[1], names=["a", "b"], path=tmp_path / "calibration.png")
    assert (tmp_path / "calibration.png").stat().st_size > 10_000
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "rank of a among 99 samples",
        "rank of b among 99 samples",
        "mass of the region",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["95 % simultaneous band", "uniform", "model"]
    coverage = figure.axes[2].get_lines()[1]
    assert np.abs(coverage.get_ydata() - coverage.get_xdata()).max() < 0.06


def test_the_curve_of_ranks_is_their_distribution_function_less_the_uniform_one():
    ranks = np.repeat([0, 3], [60, 40])[:, np.newaxis]
    _, curve = plot_calibration(ranks, 3).axes[0].get_lines()
    np.testing.assert_array_equal(curve.get_xdata(), [0, 1, 2, 3, 4])
    np.testing.assert_allclose(curve.get_ydata(), [0.0, 0.35, 0.1, -0.15, 0.0], atol=1e-12)


def test_a_calibrated_curve_is_within_its_band_and_others_are_not(pairs):
    outside = []
    for arguments in ((), (0.0, 0.7), (0.0, -0.7), (1.0,)):
        axes = plot_calibration(ranks(model(*arguments), *pairs, num_samples=S), S).axes[0]
        (band,) = axes.collections
        points = band.get_paths()[0].vertices
        curve = axes.get_lines()[1].get_xydata()[1:-1]
        ends = [points[np.isclose(points[:, 0], x), 1] for x, _ in curve]
        outside.append(np.mean([not low.min() <= y <= low.max() for low, (_, y) in zip(ends, curve, strict=True)]))
    assert outside[0] == 0.0
    assert min(outside[1:]) > 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros([5]), 9), r"`ranks` must have shape \[n, d\]"),
        ((np.full([5, 1], 10), 9), "`ranks` must lie in 0 to 9"),
        ((np.zeros([5, 1]), 9, np.zeros(4)), r"`credibility` must have shape \[5\]"),
        ((np.zeros([5, 1]), 9, np.full(5, 1.5)), r"`credibility` must lie in \[0, 1\]"),
        ((np.zeros([5, 1]), 9, None, ["a", "b"]), r"`names` must name the 1 column\(s\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_calibration(*arguments)
