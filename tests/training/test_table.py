import warnings

import numpy as np
import pytest

import tfp_nvp
from tests.training.small import small
from tfp_nvp.bijectors import Chain
from tfp_nvp.training._models.standardize import Standardize
from tfp_nvp.training._tables.columns import as_table, initialize_standardization, inspect_columns


def test_what_is_no_table_of_numbers_is_refused():
    with pytest.raises(TypeError, match="table of numbers"):
        as_table("x", [["a", "b"]])
    with pytest.raises(ValueError, match=r"x\[:, None\]"):
        as_table("x", np.zeros(5))
    with pytest.raises(ValueError, match=r"1 row\(s\): 1"):
        as_table("x", [[0.0], [np.nan]])


def test_constant_and_unresolvable_columns_are_named(rng):
    x = rng.normal(size=(100, 3))
    x[:, 1] = 2.0
    with pytest.raises(ValueError, match=r"1 \(always 2\)"):
        inspect_columns(x, None)
    x[:, 1] = 1e9 + rng.normal(size=100)
    with pytest.raises(ValueError, match=r"float32 can't resolve: 1;"):
        inspect_columns(x, None)


@pytest.mark.parametrize(
    ("make", "step"),
    [
        (lambda rng: rng.poisson(5.0, 500), 1.0),
        (lambda rng: rng.integers(0, 2, 500), 1.0),
        (lambda rng: np.round(rng.normal(size=500), 1), 0.1),
        (lambda rng: rng.normal(size=500), 0.0),
        (lambda rng: np.repeat(rng.normal(size=100), 5), 0.0),  # ties, and no grid
    ],
)
def test_columns_on_a_grid_are_found(make, step, rng):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        columns = inspect_columns(make(rng)[:, None].astype(float), None)
    assert columns.step[0] == pytest.approx(step)
    assert bool(caught) == (step > 0)


def test_bounds_are_checked_and_spread_over_columns(rng):
    x = rng.uniform(size=(100, 2))
    columns = inspect_columns(x, (0.0, [1.0, np.inf]))
    assert columns.low.tolist() == [0.0, 0.0]
    assert columns.high.tolist() == [1.0, np.inf]
    assert inspect_columns(x, (None, 1)).low.tolist() == [-np.inf, -np.inf]
    with pytest.raises(ValueError, match="leaves its `support`"):
        inspect_columns(x, (0.5, 1.0))
    with pytest.raises(ValueError, match="low below high"):
        inspect_columns(x, (1.0, 0.0))
    with pytest.raises(TypeError, match="pair"):
        inspect_columns(x, 3.0)
    with pytest.raises(ValueError, match="one for each of 2 columns"):
        inspect_columns(x, (np.zeros(3), np.ones(3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda rng: rng.normal(size=(5000, 2)) * [1e-6, 1e9] + [1e-5, -1e9],
        lambda rng: rng.standard_cauchy(size=(5000, 2)),
        lambda rng: np.where(rng.uniform(size=(5000, 2)) < 1e-3, 1e12, rng.normal(size=(5000, 2))),
    ],
)
def test_far_off_scales_and_heavy_tails_come_out_standardized(make, rng):
    x = make(rng)
    columns = inspect_columns(x, None)
    layers = columns.bijectors("float32")
    initialize_standardization(layers, columns, x)
    chain = Chain(layers)
    z, log_det = chain.inverse_and_log_det(x.astype(np.float32))
    np.testing.assert_allclose(np.mean(z, 0), 0.0, atol=1e-2)
    np.testing.assert_allclose(np.std(z, 0), 1.0, atol=1e-2)
    assert np.isfinite(log_det).all()
    assert np.abs(z).max() < 60.0
    back = chain.forward(z)
    np.testing.assert_allclose(back, x, rtol=2e-3, atol=1e-5 * columns.scale.max())


def test_resolution_is_judged_by_the_bulk_of_a_column(rng):
    x = 1e9 + rng.normal(size=(300, 1))
    x[0] = 0.0  # one outlier hides that all others are one float32 number
    with pytest.raises(ValueError, match="float32 can't resolve"):
        inspect_columns(x, None)
    assert inspect_columns(x[1:], None, "float64").scale[0] == pytest.approx(1.0, abs=0.2)


def test_a_support_far_wider_than_the_data_is_refused(rng):
    x = rng.lognormal(size=(500, 1))
    with pytest.raises(ValueError, match="too wide"):
        inspect_columns(x, (-1e9, 1e9))
    with pytest.raises(ValueError, match="too wide"):
        inspect_columns(x, (-1e9, None))
    inspect_columns(x, (0.0, 1e9))  # near 0 all values can be told apart


def test_atoms_are_named(rng):
    x = np.where(rng.uniform(size=500) < 0.6, 0.0, rng.lognormal(size=500))[:, None]
    with pytest.warns(UserWarning, match="Column 0 is 0 in"):
        inspect_columns(x, None)


def test_noise_on_a_grid_stays_within_its_support(rng):
    x = np.round(rng.uniform(0.0, 99.9, size=(5000, 1)), 1)
    with pytest.warns(UserWarning, match="dequantized"):
        columns = inspect_columns(x, (0.0, 99.9))
    noisy = columns.schema().with_noise(x.astype(np.float32), [0, 1]).numpy()
    assert noisy.min() >= 0.0
    assert noisy.max() <= np.float32(99.9)
    assert np.abs(noisy - x).max() == pytest.approx(0.05, rel=1e-2)
    np.testing.assert_allclose(columns.schema().round(noisy), x, atol=1e-5)


def test_conditions_are_standardized_and_constant_columns_harmless(rng):
    condition = np.stack([rng.normal(5, 2, 1000), np.full(1000, 3.0), rng.standard_cauchy(1000) * 1e6], axis=1)
    z = Standardize.of(condition, "float32")(condition.astype(np.float32)).numpy()
    assert np.isfinite(z).all()
    assert abs(z[:, 0].mean()) < 1e-3
    assert (z[:, 1] == 0).all()
    assert np.abs(z[:, 2]).max() < 20.0


def test_warnings_name_the_line_that_called_fit(rng):
    with pytest.warns(UserWarning, match="grid") as caught:
        tfp_nvp.fit(rng.integers(0, 5, size=(64, 2)), flow=small, epochs=1, seed=0, verbose=0)
    assert {warning.filename for warning in caught} == {__file__}
