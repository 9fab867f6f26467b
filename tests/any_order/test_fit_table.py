"""A fitted table knows what depends on what, gives the same for the same seed, and stops where it should."""

import itertools

import numpy as np
import pandas as pd
import pytest

import tfp_nvp as nvp
from tests.any_order.conftest import people
from tfp_nvp.any_order import Category, Count, Real, Schema

COVARIANCE = np.array([[1.0, 0.7, 0.0], [0.7, 1.0, -0.5], [0.0, -0.5, 1.0]])


def gaussian_log_prob(x: np.ndarray, asked: list[int], given: list[int]) -> np.ndarray:
    """log N(x_asked | x_given) of the covariance."""
    gain = COVARIANCE[np.ix_(asked, given)] @ np.linalg.inv(COVARIANCE[np.ix_(given, given)])
    rest = x[:, asked] - x[:, given] @ gain.T
    covariance = COVARIANCE[np.ix_(asked, asked)] - gain @ COVARIANCE[np.ix_(given, asked)]
    squares = np.einsum("ni,ij,nj->n", rest, np.linalg.inv(covariance), rest)
    return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])


@pytest.fixture(scope="module")
def gaussian() -> tuple[nvp.TableModel, pd.DataFrame]:
    """A model of correlated numbers of which a fifth are missing, and new rows."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.multivariate_normal(np.zeros(3), COVARIANCE, 5_000), columns=["a", "b", "c"])
    train = x[:3_000].mask(rng.random([3_000, 3]) < 0.2)
    plan = nvp.training.TablePlan(
        hidden_units=48,
        num_blocks=2,
        dropout=0.0,
        num_components=3,
        batch_size=256,
        max_steps=1_500,
        learning_rate=4e-3,
        weight_decay=0.1,
        ema_momentum=0.99,
        patience_steps=600,
        steps_per_epoch=50,
    )
    return nvp.fit_table(train, plan=plan, seed=0, verbose=0), x[3_000:].reset_index(drop=True)


@pytest.mark.parametrize("asked", range(3))
def test_conditionals_of_a_gaussian_are_found(asked, gaussian):
    model, rows = gaussian
    others = [j for j in range(3) if j != asked]
    for given in (g for k in range(3) for g in itertools.combinations(others, k)):
        names = [rows.columns[j] for j in given]
        found = model.log_prob(rows[[*names, rows.columns[asked]]], given=names)
        gap = gaussian_log_prob(rows.to_numpy(), [asked], list(given)) - found
        assert abs(gap.mean()) < 0.04, names  # with gaps and few steps; benchmarks/tables.py has 30,000 rows


def test_orders_agree(gaussian):
    model, rows = gaussian
    truth = gaussian_log_prob(rows.to_numpy(), [0, 1, 2], []).mean()
    assert abs(truth - model.log_prob(rows).mean()) < 0.06
    assert abs(truth - model.log_prob(rows, orders=6).mean()) < 0.05


def test_what_is_dependent_has_mutual_information(gaussian):
    model, _ = gaussian
    truth = -0.5 * np.log(1 - 0.7**2)
    estimate = model.mutual_information("a", "b", num_samples=4_000, seed=0)
    assert abs(estimate.value - truth) < 0.05 + 3 * estimate.standard_error
    assert abs(model.mutual_information("a", "c", num_samples=2_000, seed=0).value) < 0.05


def test_guesses_are_means(gaussian):
    model, rows = gaussian
    filled = model.impute(rows.assign(b=np.nan)[:500])
    gain = COVARIANCE[[1]][:, [0, 2]] @ np.linalg.inv(COVARIANCE[np.ix_([0, 2], [0, 2])])
    expected = rows[["a", "c"]][:500].to_numpy() @ gain.T
    assert np.sqrt(np.mean((filled["b"].to_numpy() - expected[:, 0]) ** 2)) < 0.12


def test_the_odd_cell_stands_out(gaussian):
    model, rows = gaussian
    odd = rows[:1].assign(a=2.0, b=-2.0, c=1.0)
    usual = model.attributions(rows).mean()
    assert (model.attributions(odd).iloc[0] - usual).idxmax() in ("a", "b")


def quick(table: pd.DataFrame, **options) -> nvp.TableModel:
    return nvp.fit_table(table, **{"epochs": 1, "verbose": 0, "seed": 0} | options)


def test_equal_seeds_give_equal_models():
    table, groups = people(120)[["age", "region"]], np.arange(120) // 4
    first, second = (quick(table, groups=groups) for _ in range(2))
    np.testing.assert_array_equal(first.log_prob(table), second.log_prob(table))


def test_options_of_the_fit(capsys):
    table = people(120)[["age", "region"]]
    given = {"validation_data": (table[100:], np.arange(20.0)), "sample_weight": np.ones(100)}
    model = quick(table[:100], **given, time_limit=60, verbose=1)
    assert "age: Count()" in capsys.readouterr().err
    assert len(model.history.history["val_nll"]) == 1


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ({"x": [1.0] * 5}, {}, "at least 20 rows"),
        ({"x": ["a", "b"] * 20}, {"schema": Schema({"x": Real()})}, "'x' must hold numbers"),
        ({"x": ["a", "b"] * 20}, {"schema": Schema({"y": Category()})}, r"must have the column\(s\) 'y'"),
        ({"x": [0, 1, 2, -3] * 10}, {"schema": Schema({"x": Count()})}, "'x' must not be below 0"),
        ({"x": ["a", "b"] * 20}, {"schema": {"x": Category()}}, "`schema` must be a Schema"),
        ({"x": ["a", "b"] * 20}, {"epoch": 3}, "Did you mean `epochs`"),
        ({"x": ["a", "b"] * 20}, {"sample_weight": [-1.0] * 40}, "must be finite and not negative"),
        ({"x": ["a", "b"] * 20}, {"validation_data": ({"x": ["c"] * 40},)}, "unknown category 'c'"),
        ([[1.0, 2.0]] * 30, {}, "must be a pandas.DataFrame or a pyarrow.Table"),
    ],
)
def test_wrong_arguments_are_refused(table, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        quick(table, **options)
