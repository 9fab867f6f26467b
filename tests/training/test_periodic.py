"""Periodic columns: wrapped, continuous at the seam, beside other columns and conditions."""

import math
from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tfp_nvp.training import Schema
from tfp_nvp.training._tables.periods import parse_periods
from tfp_nvp.transformers import CircularSpline, RationalQuadratic

DAY = (0.0, 24.0)


def small(event_shape, condition_shape, seed, circular=None):
    return nvp.CircularSplineFlow(
        event_shape,
        circular=circular,
        condition_shape=condition_shape,
        num_layers=1,
        hidden_units=8,
        num_blocks=1,
        transformer=CircularSpline(num_bins=4),
        real_transformer=RationalQuadratic(num_bins=4),
        seed=seed,
    )


def quick(x, *args, **kwargs):
    return nvp.fit(x, *args, **{"epochs": 1, "seed": 0, "verbose": 0, "flow": small, **kwargs})


def table(rng, rows=400) -> pd.DataFrame:
    """Hours around midnight, degrees, and a number that follows the hour."""
    hour = rng.normal(0.0, 3.0, rows) % 24.0
    degree = (180.0 + 40.0 * rng.normal(size=rows)) % 360.0
    return pd.DataFrame({"hour": hour, "number": np.cos(hour * math.pi / 12) + rng.normal(size=rows), "degree": degree})


@pytest.mark.exhaustive
def test_a_von_mises_cut_at_its_mode_is_fitted_and_continuous_there(rng):
    x = rng.vonmises(math.pi, 4.0, size=(3000, 1))
    model = nvp.fit(x, periodic=[(-math.pi, math.pi)], flow=small, epochs=80, learning_rate=0.02, seed=0, verbose=0)
    grid = np.linspace(-math.pi, math.pi, 2001)[1:, np.newaxis]
    truth = tfp.distributions.VonMises(np.float64(math.pi), np.float64(4.0)).log_prob(grid[:, 0]).numpy()
    log_prob = model.log_prob(grid).numpy().astype(np.float64)
    assert 2.0 * math.pi * np.mean(np.exp(log_prob)) == pytest.approx(1.0, abs=1e-4)
    assert (
        2.0 * math.pi * np.mean(np.exp(truth) * (truth - log_prob)) < 0.05
    )  # nats, of a small flow and a short fit; docs/benchmarks/fitting.md has those of the default
    below, above = model.log_prob([[math.pi - 1e-6], [-math.pi]]).numpy()
    assert below == pytest.approx(above, abs=1e-4)


def test_values_are_wrapped_and_samples_lie_in_the_period(rng, tmp_path):
    x = table(rng)
    model = quick(x, periodic={"hour": DAY, "degree": (0, 360)})
    assert model.schema.periodic == (True, False, True)
    moved = x + np.array([24.0, 0.0, -720.0])
    np.testing.assert_allclose(model.log_prob(x), model.log_prob(moved), atol=2e-3)  # 24 + x is rounded to float32
    samples, log_prob = model.sample_and_log_prob(2000, seed=1)
    for column, high in ((0, 24.0), (2, 360.0)):
        assert samples.numpy()[:, column].min() >= 0.0
        assert samples.numpy()[:, column].max() < high
    np.testing.assert_allclose(model.log_prob(samples), log_prob, atol=2e-3)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.sample(100, seed=2), model.sample(100, seed=2))
    served = nvp.serving.load(nvp.export(model, tmp_path / "m", verify=False))
    np.testing.assert_allclose(served.log_prob(moved), model.log_prob(x), atol=2e-3)
    card = nvp.serving.read_card(served.folder)
    assert Schema.from_config(card["schema"]) == model.schema
    readme = (served.folder / "assets.extra" / "README.md").read_text()
    assert "| periodic columns | hour [0, 24); degree [0, 360): both ends are one point" in readme
    assert "bounds by column" not in readme


@pytest.mark.parametrize("conditional", [False, True])
def test_the_density_is_continuous_at_the_seam_of_every_period(conditional, rng):
    x = table(rng)
    condition = rng.normal(size=(len(x), 2)) if conditional else None
    model = quick(x, condition, periodic={0: DAY, 2: (0.0, 360.0)}, support={"number": (-9.0, None)}, epochs=2)
    keywords = {"condition": condition[:50]} if conditional else {}
    rows = x.to_numpy()[:50].copy()
    for column, high in ((0, 24.0), (2, 360.0)):
        ends = []
        for end in (0.0, high * (1.0 - 1e-7), high):
            rows[:, column] = end
            ends.append(model.log_prob(rows, **keywords).numpy())
        np.testing.assert_allclose(ends[0], ends[1], atol=1e-3)
        np.testing.assert_array_equal(ends[0], ends[2])


def test_the_density_of_an_angle_and_a_number_integrates_to_one(rng):
    model = quick(table(rng)[["hour", "number"]], periodic={"hour": DAY}, epochs=2)
    hour, number = np.linspace(0.0, 24.0, 201)[:-1], np.linspace(-12.0, 12.0, 401)
    rows = np.stack(np.meshgrid(hour, number, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(model.log_prob(rows).numpy().astype(np.float64))
    assert density.sum() * (24.0 / 200) * (24.0 / 400) == pytest.approx(1.0, abs=5e-3)


def test_whole_hours_are_dequantized_around_the_clock(rng):
    hours = np.round(rng.normal(0.0, 3.0, (600, 1))) % 24.0
    with pytest.warns(UserWarning, match="samples are rounded to the grid"):
        model = quick(hours, periodic=DAY)
    noisy = model.schema.with_noise(np.zeros([2000, 1], np.float32), [0, 1]).numpy()
    assert noisy.min() < -0.4
    assert noisy.max() > 0.4
    np.testing.assert_array_equal(model.schema.round(noisy), 0.0)
    np.testing.assert_array_equal(model.schema.round([[23.7], [24.2], [-1.0], [11.6]]), [[0.0], [0.0], [23.0], [12.0]])
    samples = model.sample(2000, seed=1).numpy()
    assert set(samples[:, 0]) <= set(np.arange(24.0))
    counts = np.histogram(samples, [-0.5, 0.5, 1.5])[0]
    assert counts.min() > 0  # midnight gets both of its halves


def test_a_grid_that_does_not_close_stays_within_the_period():
    schema = Schema(
        low=(0.0,), high=(24.0,), step=(7.0,), origin=(0.0,), edge_low=(0.0,), edge_high=(0.0,), periodic=(True,)
    )
    np.testing.assert_array_equal(schema.round([[23.9], [0.2]]), [[21.0], [0.0]])
    assert schema.with_noise(np.full([500, 1], 21.0, np.float32), [0, 1]).numpy().max() <= 24.0


def test_unwrapped_values_are_those_of_the_period(rng):
    x = table(rng)[["hour"]]
    turned = x + 24.0 * rng.integers(-1000, 1000, size=x.shape)
    models = [quick(values, periodic={"hour": DAY}) for values in (x, turned)]
    np.testing.assert_allclose(*(model.log_prob(x) for model in models), atol=1e-4)


def test_the_recipes_of_numbers_alone_are_refused_and_that_of_angles_takes_numbers(rng):
    x = table(rng)
    with pytest.raises(ValueError, match=r"`flow` must be of angles in \[−π, π\) in `periodic` columns \(\[0\]\)"):
        quick(x, periodic={"hour": DAY}, flow=nvp.RealNVP)
    with pytest.warns(UserWarning, match="no column is periodic: all are modelled as real numbers"):
        model = quick(x)
    assert np.isfinite(model.log_prob(x)).all()
    assert not any(model.schema.periodic)


def test_which_columns_are_angles_is_said_once(rng):
    x = table(rng)[["hour", "number"]]
    recipe = partial(nvp.CircularSplineFlow, circular=[True, False], num_layers=1, hidden_units=8, num_blocks=1)
    with pytest.raises(ValueError, match=r"`flow` has `circular=\[True, False\]`, and `periodic` gives periods to"):
        quick(x, flow=recipe)
    model = quick(x, flow=recipe, periodic={"hour": DAY})
    assert model.schema.periodic == (True, False)


@pytest.mark.parametrize(("step", "period", "right"), [(2.5, 24.0, 25.0), (1.0, 30.44, 30.0), (7.0, 24.0, 21.0)])
def test_a_grid_whose_step_does_not_divide_the_period_is_refused(step, period, right, rng):
    x = step * rng.integers(0, int(period / step) + 1, size=(200, 1))
    with pytest.raises(ValueError, match=rf"a multiple of the step {step:g} .* got {period:g}, .* Is it {right:g}\?"):
        quick(x, periodic=(0.0, period))


@pytest.mark.parametrize("period", [2.0 * math.pi, 24.0])
def test_a_grid_of_rounded_steps_that_divide_the_period_is_taken(period, rng):
    x = (period / 48.0 * rng.integers(0, 48, size=(200, 1))).astype(np.float32)
    with pytest.warns(UserWarning, match="samples are rounded to the grid"):
        assert quick(x, periodic=(0.0, period)).schema.step[0] == pytest.approx(period / 48.0, rel=1e-5)


def test_every_form_gives_the_same_periods():
    low, high = parse_periods({"b": DAY}, 2, ("a", "b"))
    assert low.tolist() == [-np.inf, 0.0]
    assert high.tolist() == [np.inf, 24.0]
    for periodic in ({1: DAY}, [None, DAY], [None, [0, 24]]):
        for end, right in zip(parse_periods(periodic, 2), (low, high), strict=True):
            np.testing.assert_array_equal(end, right)
    assert [end.tolist() for end in parse_periods(DAY, 2)] == [[0.0, 0.0], [24.0, 24.0]]
    assert [end.tolist() for end in parse_periods([DAY, (0, 360)], 2)] == [[0.0, 0.0], [24.0, 360.0]]


@pytest.mark.parametrize(
    ("periodic", "message"),
    [
        ({"c": DAY}, "has the unknown column 'c'; `x` has 'a', 'b'"),
        ({2: DAY}, "has the unknown column 2"),
        ({"a": (24.0, 0.0)}, "must give finite ends with low below high"),
        ({"a": (0.0, None)}, "must give"),
        ({"a": 24.0}, r"must give a pair \(low, high\) of numbers; got 24.0 for column 'a'"),
        ("a", "must be a dict of pairs"),
        ([DAY], "must be a dict of pairs"),
        (((0.0, 1.0), (24.0, 2.0)), "must be a dict of pairs"),
    ],
)
def test_other_forms_are_refused(periodic, message):
    with pytest.raises((TypeError, ValueError), match=message):
        parse_periods(periodic, 2, ("a", "b"))


def test_a_column_has_either_bounds_or_a_period(rng):
    with pytest.raises(ValueError, match=r"`support` must leave out periodic columns, .* it bounds column\(s\) 'hour'"):
        quick(table(rng), periodic={"hour": DAY}, support={"hour": (0.0, 24.0)})


def test_seconds_since_1970_are_wrapped_before_float32_loses_them():
    rng = np.random.default_rng(0)
    noon = 43_200.0 + 3600.0 * rng.normal(size=(200, 1))
    days = 86_400.0 * rng.integers(19_000, 20_000, size=(200, 1))  # float32 resolves 128 s there
    schema = Schema(low=(0.0,), high=(86_400.0,), step=(0.0,), origin=(0.0,), periodic=(True,))
    layers = nvp.bijectors.Chain(
        [nvp.bijectors.Circle([0.0], [86_400.0]), nvp.CircularSplineFlow([1], seed=0).bijector]
    )
    flow = nvp.Flow(nvp.CircularSplineFlow([1], seed=0).distribution, layers)
    model = nvp.FlowModel(randomized(flow), schema=schema)
    np.testing.assert_allclose(model.log_prob(noon + days), model.log_prob(noon), rtol=1e-5)
    assert len(np.unique(model.encode(noon + days)[0])) > 150
