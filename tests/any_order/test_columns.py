"""Columns turn cells into numbers and back, in the dtypes of the data, and refuse what they can't have."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest

from tfp_nvp.any_order import (
    AtomReal,
    Boolean,
    Bounded,
    Category,
    Count,
    Date,
    Integer,
    Ordinal,
    Periodic,
    Positive,
    Real,
    Schema,
)


def test_types_are_inferred(table):
    expected = {
        "age": Count,
        "income": AtomReal,
        "region": Category,
        "height": Real,
        "grade": Ordinal,
        "member": Boolean,
        "day": Date,
        "temperature": Real,
        "hour": Real,
        "balance": Integer,
        "moment": Date,
        "share": Real,
        "weight": Positive,
    }
    schema = Schema.of(table)
    assert {name: type(column) for name, column in schema.items()} == expected
    assert schema["temperature"].step == 0.1
    assert schema["income"].atoms == (0.0,)
    assert (schema["day"].step, schema["moment"].step) == (1.0, 0.0)


def test_a_smooth_count_has_no_atoms_and_a_spike_is_one(rng):
    smooth, spike = rng.poisson(20, 2_000), np.where(rng.random(2_000) < 0.3, 0, rng.poisson(20, 2_000))
    schema = Schema.of(pd.DataFrame({"smooth": smooth, "spike": spike}))
    assert schema["smooth"] == Count(dtype="int64")
    assert schema["spike"].atoms == (0.0,)


def test_cells_come_back_in_their_dtypes(table, schema):
    numbers = schema.numbers(table)
    cells = schema.encode(numbers)
    assert np.isfinite(cells.flat()).all()
    back = [column.decode(cells.value[:, j], cells.atom[:, j]) for j, column in enumerate(schema.columns)]
    back = np.where(cells.known > 0, np.stack(back, axis=1), np.nan)
    pd.testing.assert_frame_equal(schema.frame(back), table, check_freq=False)


def test_the_map_of_a_column_has_the_log_det_of_its_derivative(schema):
    values = {"height": 171.3, "income": 5_000.0, "share": 0.31, "weight": 60.0, "hour": 7.5}
    for name, x in values.items():
        column, h = schema[name], 1e-5 * values[name]
        z = column.encode(np.array([x - h, x, x + h]))
        slope = (z.value[2] - z.value[0]) / (2 * h)
        assert z.log_det[1] == pytest.approx(np.log(slope), abs=1e-4), name


def test_a_schema_survives_json(schema):
    assert Schema.from_json(schema.to_json()).get_config() == schema.get_config()
    assert Schema.from_config(json.loads(json.dumps(schema.get_config()))).get_config() == schema.get_config()
    assert Schema.from_json('{"age": {"type": "Count"}, "kind": {"type": "Category"}}')["age"] == Count()


def test_a_schema_is_edited(schema):
    edited = schema.replace(age=Integer()).drop("hour").select(["region", "age"])
    assert dict(edited) == {"region": schema["region"], "age": Integer()}
    assert list(edited) == ["region", "age"]
    assert "age: Count(high=120)" in repr(schema)


def test_a_column_of_names_is_left_out():
    table = pd.DataFrame({"name": [f"person {i}" for i in range(60)], "age": range(60)})
    with pytest.warns(UserWarning, match="'name' hold a different text in most rows"):
        assert list(Schema.of(table)) == ["age"]


def test_other_tables_are_read(table):
    import pyarrow as pa

    numbers = Schema.of(table).numbers(table)
    arrow = pa.Table.from_pandas(table)
    np.testing.assert_array_equal(Schema.of(table).numbers(arrow), numbers)


def test_an_unknown_category_may_count_as_other():
    schema = Schema({"kind": Category(categories=["a", "b"], other="rest")})
    numbers = schema.completed({"kind": ["a", "c", None]}).numbers({"kind": ["a", "c", None]})
    np.testing.assert_array_equal(numbers[:, 0], [0.0, 2.0, np.nan])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (Real(), ["a", "b"], "'x' must hold numbers, as its schema says; row 0 has 'a'"),
        (Real(), [1.0, np.inf], "'x' must hold finite numbers; 1 are infinite, the first in row 1"),
        (Count(), [1, -1], "'x' must not be below 0, as its schema says; row 1 has -1"),
        (Count(), [1.5, 1.0], "'x' must hold whole numbers, as its schema says; row 0 has 1.5"),
        (Bounded(low=0, high=1), [0.5, 1.5], "'x' must not be above 1"),
        (Category(categories=("a", "b")), ["a", "c"], "row 1 has the unknown category 'c'"),
        (Date(), [1, 2], "'x' must hold dates"),
        (Category(), [None, None], "'x' must have a value in some row"),
    ],
)
def test_data_that_contradict_the_schema_are_refused(column, values, message):
    with pytest.raises((TypeError, ValueError), match=message.replace("(", "\\(")):
        Schema({"x": column}).completed({"x": values})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bounded(low=2, high=1), "`low` must be below `high`"),
        (lambda: Periodic(low=1, high=1), "`low` must be below `high`"),
        (lambda: Real(step=-1), "`step` must be at least 0"),
        (lambda: Category(categories=("a", "a")), "`categories` must be different"),
        (lambda: Category(categories=range(2_000)), "at most 1,000; got 2,000"),
        (lambda: Schema({}), "at least one column"),
        (lambda: Schema({"x": "real"}), "'x' is 'real'"),
        (lambda: Schema.of([[1.0]]), "must be a pandas.DataFrame"),
        (lambda: Schema.of({"x": [pd.Timedelta(1), pd.Timedelta(2)]}), "it holds timedelta64"),
        (lambda: Schema.of(pd.DataFrame({"x": [[1], [2]]})), "it holds a list"),
        (lambda: Schema.of({"x": [datetime.date(2024, 1, 1)] * 3}), "Convert it to datetime64, pandas.to_datetime"),
        (lambda: Schema.of({"x": [2**60, 2**60 + 1]}), "integers between ±2⁵³"),
        (lambda: Schema.of({"x": 1.0}), "must be a dict of columns"),
        (lambda: Schema.of({"x": ["1.5", "2.5", "tall"]}), "67% of its cells are numbers, and 'tall' is none"),
        (lambda: Schema({"x": Real()}).drop("y"), "unknown column 'y'"),
        (lambda: Schema({"x": Real()}).numbers({"y": [1.0]}), "must have the column\\(s\\) 'x'"),
        (lambda: Schema.from_json("{"), "must be JSON"),
        (lambda: Schema.from_json('{"x": {"type": "Word"}}'), "must have a type of AtomReal"),
        (lambda: Schema.from_json('{"x": {"type": "Real", "colour": 1}}'), "can't be made"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
