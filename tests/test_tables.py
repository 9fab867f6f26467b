"""What users give is read without loss, or refused by the name of the column."""

import datetime
import decimal
import fractions

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import tensorflow as tf

from tfp_nvp import tables
from tfp_nvp.tables import Table

LARGE = 2**63


def frame(**columns):
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([[1, 2], [3, 4]], "i"),
        (np.ones([2, 2], np.uint8), "u"),
        (np.ones([2, 2], bool), "b"),
        (np.ones([2, 2], np.float16), "f"),
        (np.ones([2, 2], np.longdouble), "f"),
        (np.array([[1, 2.5], [None, True]], object), "f"),
        ([[decimal.Decimal("1.5"), fractions.Fraction(1, 2)], [1, 2]], "f"),
        (tf.ones([2, 2], tf.bfloat16), "f"),
        ([tf.ones([2]), tf.ones([2])], "f"),
        (np.ma.array([[1.0, 2.0], [3.0, 4.0]]), "f"),
        (frame(a=[1, 2], b=[0.5, 1.5]), "f"),
        (frame(a=pd.array([1, 2], dtype="Int64"), b=pd.array([True, False], dtype="boolean")), "i"),
        (frame(a=pd.array([1, None], dtype="Int64"), b=pd.array([1.0, None], dtype="Float32")), "f"),
        (frame(a=pd.arrays.SparseArray([0.0, 1.0]), b=[1.0, 2.0]), "f"),
        (pa.table({"a": [1, 2], "b": [1.0, None]}), "f"),
        (np.array([(1, 2.0), (3, 4.0)], dtype=[("a", int), ("b", float)]), "f"),
        (np.full([2, 2], 2**53), "i"),
    ],
    ids=str,
)
def test_what_is_numbers_is_read(value, kind):
    values = tables.read("x", value).values
    assert values.dtype.kind == kind
    assert values.shape == (2, 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.ma.array([[1.0, -999.0], [2.0, 3.0]], mask=[[0, 1], [0, 0]]),
            r"1 masked value\(s\), in row\(s\) 0.*filled",
        ),
        ([np.ma.array([1.0, -999.0], mask=[0, 1]), np.ma.array([1.0, 2.0])], "masked"),
        (np.ones([2, 2], complex), "complex numbers.*imaginary"),
        (np.array([["2020-01-01"]], "M8[D]"), "dates"),
        (np.array([[1]], "m8[s]"), "times"),
        ([["a", "b"]], "text"),
        ([["1.5"]], "text"),
        (np.array([[LARGE, 1]], np.uint64), f"column 0 holds {LARGE}"),
        ([[1, 2**60 + 1]], "column 1 holds 1152921504606846977"),
        ([[1, 2**70]], "±2⁵³"),
        (frame(a=[1, 2], b=["red", "blue"]), "column 'b' holds text, 'red' in row 0"),
        (frame(a=[1, 2], when=pd.to_datetime(["2020-01-01", "2020-01-02"])), "column 'when' holds dates"),
        (frame(when=[datetime.date(2020, 1, 1)]), "column 'when' holds a date"),
        (frame(a=pd.Categorical([1, 2])), "column 'a' holds categories"),
        (frame(z=[1j]), "column 'z' holds complex"),
        (frame(id=np.array([LARGE], np.uint64)), "column 'id' holds"),
        (frame(id=pd.array([2**60, None], dtype="Int64")), "column 'id' holds"),
        (frame(a=[[1], [2]]), "column 'a' holds a list"),
        (frame(a=[1, 2])[["a", "a"]], "'a' occur twice"),
        (frame(), "no columns"),
        (pa.table({"a": ["x"]}), "column 'a' holds text"),
        (scipy.sparse.eye(3), "sparse.*toarray"),
        (tf.sparse.eye(3), "sparse"),
        (tf.ragged.constant([[1], [2, 3]]), "ragged"),
        ([[1, 2], [3]], "inhomogeneous"),
        ({"a": 1}, "array of numbers"),
        (None, "array of numbers"),
        ("text", "text"),
    ],
    ids=str,
)
def test_what_would_lose_something_is_refused(value, message):
    with pytest.raises((TypeError, ValueError), match=rf"(?s)`x`.*{message}"):
        tables.read("x", value)


def test_names_are_those_of_a_frame():
    assert tables.read("x", frame(b=[1], a=[2])).columns == ("b", "a")
    assert tables.read("x", pa.table({"b": [1], "a": [2]})).columns == ("b", "a")
    assert tables.read("x", pd.DataFrame(np.ones([2, 3]))).columns is None
    assert tables.read("x", pd.DataFrame(np.ones([2, 3]))[[2, 0, 1]]).columns == ("2", "0", "1")
    assert tables.read("x", frame(b=[1], a=[2]).iloc[0]).columns == ("b", "a")  # one row
    assert tables.read("x", pd.Series([1, 2], name="c")).title == "c"


def test_columns_are_put_in_order_by_name():
    table = Table(np.array([[1, 2]]), ("b", "a"))
    assert tables.in_order("x", table, ("a", "b")).tolist() == [[2, 1]]
    assert tables.in_order("x", table, None).tolist() == [[1, 2]]  # the model has no names
    assert tables.in_order("x", Table(table.values), ("a", "b")).tolist() == [[1, 2]]  # an array has none
    assert tables.in_order("x", Table(table.values, ("1", "0")), None).tolist() == [[2, 1]]
    with pytest.raises(ValueError, match="lacks 'c' and has 'b' besides"):
        tables.in_order("x", table, ("a", "c"))


def test_values_that_are_not_finite_are_named_by_row_and_column():
    values = np.array([[1.0, 2.0], [np.nan, 3.0], [1.0, 1e300]])
    with pytest.raises(ValueError, match=r"1 row\(s\): 1, column\(s\) 'a'"):
        tables.check_finite("Values", "x", values, ("a", "b"))
    with pytest.raises(ValueError, match=r"3.4e\+38 in float32\) in 2 row\(s\): 1, 2, column\(s\) 0, 1"):
        tables.check_finite("Values", "x", values, dtype=np.float32)
    tables.check_finite("Values", "x", np.full([2, 1], 1.7e308))  # whose sum is not finite
