"""A model's answers agree with each other: every density is normalized, whatever is known and asked."""

import itertools

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.any_order.conftest import untrained
from tfp_nvp.any_order import AtomReal, Category, Count, Integer, Ordinal, Periodic, Real, Schema

#: Points of a midpoint rule on [-LIMIT, LIMIT], which holds all but 1e-6 of the conditionals of these weights.
LIMIT, POINTS = 40.0, 6_000
REALS = (np.arange(POINTS) + 0.5) / POINTS * 2 * LIMIT - LIMIT
STEP = 2 * LIMIT / POINTS


@pytest.fixture(scope="module")
def small() -> nvp.TableModel:
    """A model of a category, a count with an atom, a real number with an atom and one of two decimals, untrained."""
    table = pd.DataFrame({"kind": ["a", "b", "c"] * 10, "count": [0, 3, 5] * 10, "amount": [0.0, 1.0, -1.0] * 10})
    schema = Schema({"kind": Category(), "count": Count(atoms=(0,), high=6), "amount": AtomReal()}).completed(table)
    return untrained(schema.fitted(schema.numbers(table)))


def every_value(names: tuple[str, ...]) -> tuple[pd.DataFrame, np.ndarray]:
    """All values of these columns, and what each weighs in the integral: a real number, the length of its interval."""
    values = {"kind": [("a", 1.0), ("b", 1.0), ("c", 1.0)], "count": [(i, 1.0) for i in range(7)]}
    values["amount"] = [(0.0, 1.0), *((x, STEP) for x in REALS)]
    rows = list(itertools.product(*(values[name] for name in names)))
    weight = np.array([np.prod([weight for _, weight in row]) for row in rows])
    return pd.DataFrame({name: [row[i][0] for row in rows] for i, name in enumerate(names)}), weight


NAMES = ("kind", "count", "amount")


@pytest.mark.parametrize(
    ("names", "orders"), [*((n, 1) for k in (1, 2, 3) for n in itertools.combinations(NAMES, k)), (NAMES, 3)]
)
def test_every_marginal_is_normalized(names, orders, small):
    rows, weight = every_value(names)
    total = weight @ np.exp(small.log_prob(rows, orders=orders))
    assert total == pytest.approx(1.0, abs=2e-4)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"kind": "b"}, ("count", "amount")),
        ({"amount": 0.0}, ("kind", "count")),
        ({"amount": 1.3, "count": 2}, ("kind",)),
        ({"count": 0}, ("amount",)),
    ],
)
def test_every_conditional_is_normalized(given, names, small):
    rows, weight = every_value(names)
    total = weight @ np.exp(small.log_prob(rows.assign(**given), given=list(given)))
    assert total == pytest.approx(1.0, abs=2e-4)


def test_a_density_is_that_of_its_order(small):
    rows = pd.DataFrame({"kind": ["a", "c"], "count": [0, 4], "amount": [0.5, 0.0]})
    parts = [
        small.log_prob(rows[["kind"]]),
        small.log_prob(rows[["kind", "count"]], given=["kind"]),
        small.log_prob(rows, given=["kind", "count"]),
    ]
    np.testing.assert_allclose(small.log_prob(rows), np.sum(parts, axis=0), atol=1e-5)
    reverse = [
        small.log_prob(rows[["amount"]]),
        small.log_prob(rows[["amount", "count"]], given=["amount"]),
        small.log_prob(rows, given=["amount", "count"]),
    ]
    mixture = np.logaddexp(np.sum(parts, axis=0), np.sum(reverse, axis=0)) - np.log(2)
    np.testing.assert_allclose(small.log_prob(rows, orders=2), mixture, atol=1e-5)


def test_missing_cells_are_marginalized(small):
    full = pd.DataFrame({"kind": ["a", None], "count": [2, 5], "amount": [np.nan, 0.0]})
    expected = [small.log_prob(full[["kind", "count"]][:1])[0], small.log_prob(full[["count", "amount"]][1:])[0]]
    np.testing.assert_allclose(small.log_prob(full), expected, atol=1e-5)
    np.testing.assert_allclose(small.log_prob(full, given=["kind"])[1], expected[1], atol=1e-5)


def test_samples_have_the_density(small):
    rows = small.sample(40_000, given={"kind": "b"}, seed=0)
    assert set(rows["kind"]) == {"b"}
    cells, _ = every_value(("count",))
    p = np.exp(small.log_prob(cells.assign(kind="b"), given=["kind"]))
    shares = rows["count"].value_counts(normalize=True).reindex(range(7), fill_value=0.0)
    np.testing.assert_allclose(shares, p, atol=0.011)  # four standard errors of .5
    zero = float(np.exp(small.log_prob(pd.DataFrame({"kind": ["b"], "amount": [0.0]}), given=["kind"]))[0])
    # The order of a sample has the count before the amount, so its marginal is close to that, and not the same.
    assert abs((rows["amount"] == 0.0).mean() - zero) < 0.2


def test_equal_seeds_give_equal_samples(model):
    pd.testing.assert_frame_equal(model.sample(5, seed=3), model.sample(5, seed=3))
    assert not model.sample(5, seed=3).equals(model.sample(5, seed=4))


def test_samples_look_like_the_data(model, table):
    rows = model.sample(200, seed=0)
    assert list(rows) == list(table)
    for name in table:
        assert rows[name].dtype == table[name].dtype, name
    assert list(rows["grade"].cat.categories) == ["low", "mid", "high"]
    assert model.schema.numbers(rows).shape == (200, len(table.columns))  # which checks bounds and grids
    assert len(model.sample(0)) == 0


@pytest.mark.parametrize("name", ["age", "income", "height", "temperature", "hour", "day", "moment", "share", "weight"])
def test_quantiles_and_cdf_agree(name, model, table):
    given = table.drop(columns=name)[:20]
    for level in (0.05, 0.5, 0.9):
        values = model.quantile(level, name, given=given)
        assert values.dtype == table[name].dtype
        reached = model.cdf(given.assign(**{name: values}), name)
        column = model.schema[name]
        if column.on_grid or column.num_atoms:
            numbers = column.numbers(name, values)
            step = column.step or 1e-6 * (1 + np.abs(numbers))
            inside = numbers - step >= (-np.inf if column.low is None else column.low)
            lower = given.assign(**{name: column.series(name, np.where(inside, numbers - step, numbers))})
            before = np.where(inside, model.cdf(lower, name), 0.0)
            assert (reached >= level - 1e-4).all()
            assert (before <= level + 1e-3).all()
        else:
            np.testing.assert_allclose(reached, level, atol=2e-4)


def test_the_cdf_of_levels_adds_up(model, table):
    row = table.drop(columns="grade")[:1]
    rows = pd.concat([row] * 3).assign(grade=pd.Categorical(["low", "mid", "high"], ["low", "mid", "high"]))
    p = np.exp(-model.attributions(rows)["grade"])
    np.testing.assert_allclose(model.cdf(rows, "grade"), np.cumsum(p), atol=1e-5)


def test_imputations_fill_gaps_alone(model, table):
    table = table[:60]
    drawn = model.impute(table, num_samples=2, seed=0)
    for filled in (model.impute(table), *drawn):
        assert not filled[list(model.schema)].isna().any(axis=None)
        for name in table:
            known = table[name].notna()
            assert filled[name].dtype == table[name].dtype, name
            assert (filled[name][known] == table[name][known]).all(), name
    assert not drawn[0].equals(drawn[1])
    pd.testing.assert_frame_equal(drawn[0], model.impute(table, num_samples=2, seed=0)[0])


def test_other_columns_and_the_index_are_kept(model, table):
    some = table.set_index(np.arange(len(table)) + 1_000).assign(note="x").drop(columns="hour")[:12]
    filled = model.impute(some)
    assert list(filled.index) == list(some.index)
    assert list(filled) == [*some, "hour"]
    assert (filled["note"] == "x").all()


def test_attributions_are_of_a_cell_given_the_rest(model, table):
    found = model.attributions(table[:10])
    assert (found.isna() == table[:10].isna()[list(found)]).all(axis=None)
    for name in ("region", "height", "age"):
        others = [column for column in table if column != name]
        expected = -model.log_prob(table[:10], given=others)
        here = found[name].notna()
        np.testing.assert_allclose(found[name][here], expected[here], atol=2e-5)


def test_the_distribution_of_real_columns(model, table):
    given = model.given({"region": "south", "age": 41}, columns=["height", "weight"])
    x = given.sample(50, seed=1)
    assert x.shape == [50, 2]
    rows = pd.DataFrame(np.array(x), columns=["height", "weight"]).assign(region="south", age=41.0)
    expected = model.log_prob(rows, given=["region", "age"])
    np.testing.assert_allclose(given.log_prob(x), expected, atol=1e-5)
    assert given.log_prob(tf.reshape(x, [5, 10, 2])).shape == [5, 10]
    assert model.marginal(["share"]).columns == ("share",)


def test_mutual_information_is_zero_of_what_is_independent(schema):
    model = untrained(schema)
    for variable in model.network.mlp.output_layer.weights[:1]:
        variable.assign(tf.zeros_like(variable))  # the conditionals do not depend on what is known
    estimate = model.mutual_information("region", ["age", "height"], num_samples=500, seed=0)
    assert estimate.value == pytest.approx(0.0, abs=1e-5)
    dependent = untrained(schema).mutual_information("region", "height", num_samples=4_000, seed=0)
    assert dependent.value > 3 * dependent.standard_error


@pytest.mark.parametrize("name", ["model", pytest.param("compiled", marks=pytest.mark.exhaustive)])
def test_a_file_keeps_everything(name, model, schema, table, tmp_path):
    if name == "compiled":
        model = untrained(schema, seed=1)
        model.compile("adam")
        model.fit(table, epochs=1, verbose=0)
    model.save(tmp_path / "table.keras")
    loaded = nvp.load_model(tmp_path / "table.keras")
    assert loaded.schema.get_config() == model.schema.get_config()
    np.testing.assert_allclose(loaded.log_prob(table), model.log_prob(table), rtol=1e-5)
    pd.testing.assert_frame_equal(loaded.sample(3, seed=0), model.sample(3, seed=0))


def test_keras_trains_weighted_rows(schema, table):
    weight = np.where(table["region"] == "south", 1.0, 0.0)
    model = untrained(schema)
    model.compile("adam")
    before = model.evaluate(table, sample_weight=weight, verbose=0, return_dict=True)["nll"]
    model.fit(table, sample_weight=weight, validation_data=table, epochs=8, verbose=0, batch_size=32)
    after = model.evaluate(table, sample_weight=weight, verbose=0, return_dict=True)["nll"]
    assert after < before - 1.0
    np.testing.assert_array_equal(model.predict(table), model.log_prob(table))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m, t: m.log_prob(t, given=["nothing"]), "`given` has the unknown column 'nothing'"),
        (lambda m, t: m.log_prob(t, orders=0), "`orders` must be at least 1"),
        (lambda m, t: m.log_prob(t[["age"]].rename(columns=str.upper)), "must have the column"),
        (lambda m, t: m.log_prob(t.assign(region="west")), "unknown category 'west'"),
        (lambda m, t: m.sample(2, given={"region": "west"}), "unknown category 'west'"),
        (lambda m, t: m.sample(2, given={"aeg": 3}), "`given` has the unknown column 'aeg'"),
        (lambda m, t: m.sample(2, given={"age": [1, 2, 3]}), "number of rows of `given`, 3"),
        (lambda m, t: m.sample(), "`n` must be an integer"),
        (lambda m, t: m.quantile(0.5, "region"), "'region' is a Category"),
        (lambda m, t: m.quantile(1.5, "age"), "`level` must be"),
        (lambda m, t: m.cdf(t, "age", given=["age"]), "other columns than 'age'"),
        (lambda m, t: m.given({"age": 40}, columns=["region"]), "must be columns of numbers; got 'region'"),
        (lambda m, t: m.given({"age": 40}, columns=["age"]), "'age' is in both"),
        (lambda m, t: m.mutual_information("age", "age"), "must be different columns"),
        (lambda m, t: m.fit(t), "not compiled"),
        (lambda m, t: m.compile("adam", loss="mse"), "`loss` must be left out"),
        (lambda m, t: nvp.export(m, "unused"), "a TableModel has no SavedModel yet"),
        (lambda m, t: nvp.TableModel("schema"), "`schema` must be a Schema"),
    ],
)
def test_wrong_questions_are_refused(ask, message, model, table):
    with pytest.raises((TypeError, ValueError), match=message):
        ask(model, table)


@pytest.mark.filterwarnings("error")
def test_far_and_unknown_rows_have_finite_densities(model):
    rows = pd.DataFrame({"height": [1e300, -1e30, np.nan], "weight": [1e-300, 1e300, np.nan]})
    found = model.log_prob(rows)
    assert np.isfinite(found).all()
    assert found[2] == 0.0


def test_the_pieces_of_a_grid_that_is_wide_are_masses(rng):
    """A histogram's density times its step adds up to one, beyond the first and last values of the data too."""
    table = pd.DataFrame({"x": np.round(rng.normal(size=200), 1), "size": rng.choice(["s", "m", "l"], 200)})
    schema = Schema({"x": Real(step=0.1), "size": Ordinal(categories=("s", "m", "l"))}).completed(table)
    model = untrained(schema.fitted(schema.numbers(table)))
    grid = pd.DataFrame({"x": np.round(np.arange(-400, 401) * 0.1, 1)})
    assert 0.1 * np.exp(model.log_prob(grid)).sum() == pytest.approx(1.0, abs=1e-4)


def test_integers_of_any_size_have_masses(rng):
    table = pd.DataFrame({"x": rng.integers(-10, 10, 100), "angle": rng.uniform(0, 360, 100)})
    schema = Schema({"x": Integer(), "angle": Periodic(low=0, high=360)}).completed(table)
    model = untrained(schema.fitted(schema.numbers(table)))
    grid = pd.DataFrame({"x": np.arange(-1_000, 1_000)})
    assert np.exp(model.log_prob(grid)).sum() == pytest.approx(1.0, abs=1e-5)
    degrees = pd.DataFrame({"angle": np.arange(0, 360, 0.1)})
    assert 0.1 * np.exp(model.log_prob(degrees)).sum() == pytest.approx(1.0, abs=1e-4)
