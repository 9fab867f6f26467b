"""Argument checks, whose errors name the argument, the rule, the value and a remedy."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np


def integer(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """`value` as an `int` from `minimum` to `maximum`, or a `TypeError` / `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer; got {value!r}.")
    if value < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}; got {value}.")
    if maximum is not None and int(value) > maximum:
        raise ValueError(f"`{name}` must be at most {maximum}; got {value}.")
    return int(value)


def seed(name: str, value: Any) -> int | None:
    """`value` as an `int` that is not negative, or None; or a `TypeError` / `ValueError`."""
    return None if value is None else integer(name, value, 0)


def positive(name: str, value: Any) -> float:
    """`value` as a finite positive `float`, or a `TypeError` / `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number; got {value!r}.")
    value = float(value)
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"`{name}` must be positive and finite; got {value}.")
    return value


def fraction(name: str, value: Any) -> float:
    """`value` as a `float` in [0, 1), or a `TypeError` / `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number; got {value!r}.")
    value = float(value)
    if not 0.0 <= value < 1.0:
        raise ValueError(f"`{name}` must be in [0, 1); got {value}.")
    return value


def shape(name: str, value: Any, min_rank: int = 0) -> tuple[int, ...]:
    """`value` (an int or a sequence of ints) as a tuple of positive sizes."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value,)
    if hasattr(value, "as_list"):
        value = value.as_list()
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"`{name}` must be a list of sizes such as [2]; got {value!r}.")
    sizes = tuple(integer(f"{name}[{i}]", size, 1) for i, size in enumerate(value))
    if len(sizes) < min_rank:
        raise ValueError(f"`{name}` must have at least {min_rank} dimension(s); got {list(sizes)}.")
    return sizes


def vector_shape(name: str, value: Any) -> tuple[int]:
    """`value` as (d,), or a `TypeError` / `ValueError`."""
    sizes = shape(name, value, min_rank=1)
    if len(sizes) != 1:
        raise ValueError(f"`{name}` must be [d], the shape of a vector; got {list(sizes)}.")
    return sizes


def image_shape(name: str, value: Any) -> tuple[int, int, int]:
    """`value` as (height, width, channels), or a `TypeError` / `ValueError`."""
    sizes = shape(name, value)
    if len(sizes) != 3:
        raise ValueError(f"`{name}` must be [height, width, channels], the shape of an image; got {list(sizes)}.")
    return sizes


def hidden_units(name: str, value: Any) -> tuple[int, ...]:
    """`value` (a sequence of ints) as a tuple of at least one layer width."""
    sizes = shape(name, value)
    if not sizes:
        raise ValueError(f"`{name}` must name at least one hidden layer; got {value!r}.")
    return sizes


def instance(name: str, value: Any, kind: type, example: str) -> Any:
    """`value` if it is a `kind`, or a `TypeError` that shows an `example`."""
    if not isinstance(value, kind):
        raise TypeError(f"`{name}` must be a {kind.__name__}, for example `{example}`; got {value!r}.")
    return value


def permutation(name: str, value: Any) -> tuple[int, ...]:
    """`value` (a sequence of ints) as a tuple that holds each of 0, …, len − 1 once."""
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"`{name}` must be a permutation such as [1, 0, 2]; got {value!r}.")
    order = tuple(integer(f"{name}[{i}]", element, 0) for i, element in enumerate(value))
    if not order or sorted(order) != list(range(len(order))):
        raise ValueError(f"`{name}` must hold each of 0 to {len(order) - 1} once; got {list(order)}.")
    return order
