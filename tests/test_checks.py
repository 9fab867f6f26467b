import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import checks


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
    with pytest.raises(ValueError, match=r"`n` must be at most 3; got 4\."):
        checks.integer("n", 4, 0, 3)


@pytest.mark.parametrize("value", [0.0, -1, float("inf"), float("nan")])
def test_positive_refuses_other_numbers(value):
    with pytest.raises(ValueError, match=r"`a` must be positive and finite; got"):
        checks.positive("a", value)


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_fraction_refuses_numbers_outside_zero_to_one(value):
    with pytest.raises(ValueError, match=r"`rate` must be in \[0, 1\); got"):
        checks.fraction("rate", value)


@pytest.mark.parametrize("check", [checks.positive, checks.fraction])
@pytest.mark.parametrize("value", [True, "1", None])
def test_numbers_must_be_numbers(check, value):
    with pytest.raises(TypeError, match="must be a number; got"):
        check("a", value)


def test_numbers_in_range_come_back_as_floats():
    assert checks.positive("a", 2) == 2.0
    assert checks.fraction("rate", 0) == 0.0


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


def test_hidden_units_must_name_a_layer():
    assert checks.hidden_units("hidden_units", [8, 4]) == (8, 4)
    with pytest.raises(ValueError, match="at least one hidden layer"):
        checks.hidden_units("hidden_units", [])


def test_instance_shows_an_example():
    assert checks.instance("a", 1, int, "1") == 1
    with pytest.raises(TypeError, match=r"`a` must be a int, for example `1`; got 'x'"):
        checks.instance("a", "x", int, "1")
