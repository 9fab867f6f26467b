import fractions
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.checks import Interval


@pytest.mark.parametrize("value", [3, np.int64(3)])
def test_integer_takes_integers(value):
    assert checks.integer("n", value, 3) == 3
    assert type(checks.integer("n", value, 3)) is int


@pytest.mark.parametrize("value", [True, 3.0, "3", None])
def test_integer_refuses_what_is_none(value):
    with pytest.raises(TypeError, match=r"`n` must be an integer; got"):
        checks.integer("n", value, 0)


def test_integer_names_its_minimum():
    with pytest.raises(ValueError, match=r"`n` must be at least 3; got 2\."):
        checks.integer("n", 2, 3)


def test_integer_names_its_maximum():
    assert checks.integer("n", 3, 0, 3) == 3
    with pytest.raises(ValueError, match=r"`n` must be in \[0, 3\]; got 4\. Or else\.$"):
        checks.integer("n", 4, 0, 3, hint="Or else.")


def test_integer_shows_no_million_digits():
    with pytest.raises(ValueError, match=r"`n` must be in \[0, 3\]; got .{1,100}\.$"):
        checks.integer("n", 10**100_000, 0, 3)


@pytest.mark.parametrize(
    ("interval", "text", "inside", "outside"),
    [
        (Interval(0, 0.5, closed="left"), "in [0, 0.5)", [0.0, 0.49], [-1e-9, 0.5, 1.5]),
        (Interval(0, 1, closed="right"), "in (0, 1]", [1e-300, 1], [0, 1.1]),
        (Interval(-1, 1), "in [-1, 1]", [-1, 1], [-1.1, 1.1]),
        (Interval(0, 1, closed="neither"), "in (0, 1)", [0.5], [0, 1]),
        (Interval(low=0), "at least 0 and finite", [0.0, -0.0, 1e300], [-1e-9]),
        (Interval(low=2, closed="neither"), "above 2 and finite", [2.1], [2]),
        (Interval(high=0.25), "at most 0.25 and finite", [0.25, -1e300], [0.3]),
        (Interval(high=1, closed="left"), "below 1 and finite", [0.9], [1]),
        (checks.POSITIVE, "positive and finite", [5e-324], [0.0, -0.0]),
        (Interval(), "finite", [0.0], []),
    ],
    ids=str,
)
def test_the_text_follows_from_the_rule(interval, text, inside, outside):
    for value in inside:
        assert checks.number("a", value, interval) == value
    for value in (*outside, float("nan"), float("inf"), -float("inf"), 10**400):
        with pytest.raises(ValueError, match=re.escape(f"`a` must be {text}; got ")):
            checks.number("a", value, interval)


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.float16(0.5), np.float64(0.5), np.array(0.5), fractions.Fraction(1, 2)]
)
def test_numbers_of_numpy_are_numbers(value):
    found = checks.number("a", value, checks.FRACTION)
    assert found == 0.5
    assert type(found) is float


def test_choice_names_the_choices():
    assert checks.choice("order", "b", ["a", "b"]) == "b"
    for value in ("c", None, 1, ["a"], np.array(["a", "b"])):
        with pytest.raises(ValueError, match="`order` must be one of 'a', 'b'; got"):
            checks.choice("order", value, ["a", "b"])


def test_flag_takes_booleans_only():
    assert checks.flag("clip", np.bool_(True)) is True
    for value in (1, 0, None, "yes"):
        with pytest.raises(TypeError, match="`clip` must be True or False; got"):
            checks.flag("clip", value)


def test_seeds():
    assert checks.seed("seed", None) is None
    assert checks.seed_or_random("seed", None) != checks.seed_or_random("seed", None)
    for check in (checks.seed, checks.seed_or_random):
        assert check("seed", np.int64(3)) == 3
        with pytest.raises(ValueError, match="`seed` must be at least 0; got -1"):
            check("seed", -1)


@pytest.mark.parametrize("value", [[1, 0, 2], (1, 0, 2), np.array([1, 0, 2]), tf.constant([1, 0, 2])])
def test_permutation_takes_every_way_to_say_it(value):
    assert checks.permutation("order", value) == (1, 0, 2)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([True, False], TypeError, r"`order\[0\]` must be an integer; got True"),
        (np.array([True, False]), TypeError, r"`order\[0\]` must be an integer"),
        ([1.0, 0.0], TypeError, r"`order\[0\]` must be an integer; got 1\.0"),
        ("10", TypeError, r"`order` must be a list of integers such as \[1, 0, 2\]; got '10'"),
        (3, TypeError, "`order` must be a list of integers"),
        ([[0, 1]], TypeError, "`order` must be a list of integers"),
        ([], ValueError, "`order` must hold each of the integers from 0 to 0 once"),
        ([0, 2], ValueError, r"`order` must hold each of the integers from 0 to 1 once; got \[0, 2\]"),
    ],
)
def test_permutation_refuses_what_is_none(value, error, message):
    with pytest.raises(error, match=message):
        checks.permutation("order", value)


def test_shown_is_one_short_line():
    class Bad:
        def __repr__(self):
            raise RuntimeError

    assert checks.shown(np.zeros([3, 3])) == "array([[0., 0., 0.], [0., 0., 0.], [0., 0., 0.]])"
    assert len(checks.shown("x" * 1000)) == 100
    assert checks.shown(Bad()) == "an object of class Bad"


@pytest.mark.parametrize("value", [0.0, -1, float("inf"), float("nan")])
def test_positive_refuses_other_numbers(value):
    with pytest.raises(ValueError, match=r"`a` must be positive and finite; got"):
        checks.positive("a", value)


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, [0.5], np.array([0.5])])
def test_numbers_must_be_numbers(value):
    with pytest.raises(TypeError, match="`a` must be a number; got"):
        checks.number("a", value, checks.FRACTION)


@pytest.mark.parametrize("value", [3, (3,), [3], np.array([3]), tf.TensorShape([3]), np.int32(3)])
def test_shape_takes_every_way_to_say_it(value):
    assert checks.shape("event_shape", value) == (3,)


def test_shape_refuses_what_is_none():
    with pytest.raises(TypeError, match=r"`event_shape` must be a list of sizes such as \[2\]"):
        checks.shape("event_shape", "3")
    with pytest.raises(ValueError, match=r"`event_shape\[1\]` must be at least 1; got 0"):
        checks.shape("event_shape", [2, 0])
    with pytest.raises(ValueError, match=r"`event_shape` must have at least 1 dimension"):
        checks.shape("event_shape", [], min_rank=1)


def test_channels_or_shape():
    assert checks.channels_or_shape("event_shape", np.int64(3)) == (None, None, 3)
    assert checks.channels_or_shape("event_shape", [None, 2, 3]) == (None, 2, 3)
    with pytest.raises(ValueError, match="`event_shape` must have at least 2 dimension"):
        checks.channels_or_shape("event_shape", [3])
    with pytest.raises(TypeError, match=r"`event_shape\[-1\]` must be an integer; got None"):
        checks.channels_or_shape("event_shape", [2, None])
    with pytest.raises(TypeError, match=r"`event_shape\[0\]` must be an integer; got None"):
        checks.shape("event_shape", [None, 3])


def test_hidden_units_must_name_a_layer():
    assert checks.hidden_units("hidden_units", [8, 4]) == (8, 4)
    with pytest.raises(ValueError, match="at least one hidden layer"):
        checks.hidden_units("hidden_units", [])


@pytest.mark.parametrize("value", [8, [8], (8, 8), np.int64(8)])
def test_width_is_one(value):
    assert checks.width("hidden_units", value) == 8


def test_widths_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"`hidden_units` must be one width, .*; got \[8, 4\]"):
        checks.width("hidden_units", [8, 4])


@pytest.mark.parametrize("value", [[1, 0], (1.0, 0.0), np.array([True, False]), np.array([1, 0], np.uint8)])
def test_mask_takes_booleans_and_numbers(value):
    assert checks.mask("mask", value).tolist() == [True, False]


@pytest.mark.parametrize("value", [[1, -1], [np.nan, 0.0], [1e-9, 1.0]])
def test_mask_refuses_other_numbers(value):
    with pytest.raises(ValueError, match="`mask` must hold True and False, or 1 and 0; got "):
        checks.mask("mask", value)


@pytest.mark.parametrize("value", [1, "ab", [[1], [1, 0]], [1j, 0j], [[1, 0]]])
def test_mask_refuses_other_types_and_ranks(value):
    with pytest.raises(TypeError, match="`mask` must be a vector of booleans, or of 0 and 1; got "):
        checks.mask("mask", value, 1)


def test_instance_shows_an_example():
    assert checks.instance("a", 1, int, "1") == 1
    with pytest.raises(TypeError, match=r"`a` must be an int, for example `1`; got 'x'"):
        checks.instance("a", "x", int, "1")


@pytest.mark.parametrize("value", ["a/b", Path("a/b"), ".", "C:/x", "a:b/c", "/x:/y"])
def test_local_path_takes_paths(value):
    assert checks.local_path("path", value) == Path(value)


@pytest.mark.parametrize("value", ["gs://b/x", Path("gs://b/x"), "s3:/x", "file:///x", "", "a\0b"])
def test_local_path_refuses_urls_and_nothing(value):
    with pytest.raises(ValueError, match="`path` must"):
        checks.local_path("path", value)


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"]])
def test_local_path_refuses_what_is_no_path(value):
    with pytest.raises(TypeError, match="`path` must be a path; got"):
        checks.local_path("path", value)
