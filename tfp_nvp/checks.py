"""Argument checks, whose errors name the argument, the rule, the value and a remedy."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class Interval:
    """The finite numbers between two bounds; its text is the rule in an error message.

    Args:
      low, high: the bounds; an infinite one is none.
      closed: the bounds that belong to it.

    >>> str(Interval(0, 0.5, closed="left")), 0.5 in Interval(0, 0.5, closed="left")
    ('in [0, 0.5)', False)
    >>> str(Interval(low=3)), str(Interval(high=1, closed="neither")), str(Interval(0, closed="neither"))
    ('at least 3', 'below 1', 'positive')
    """

    low: float = -math.inf
    high: float = math.inf
    closed: Literal["both", "left", "right", "neither"] = "both"

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.closed in ("both", "left") else value > self.low
        below = value <= self.high if self.closed in ("both", "right") else value < self.high
        return bool(above and below and -math.inf < value < math.inf)

    def __str__(self) -> str:
        has_low, has_high = self.closed in ("both", "left"), self.closed in ("both", "right")
        if math.isinf(self.low) and math.isinf(self.high):
            return "finite"
        if math.isinf(self.low):
            return f"{'at most' if has_high else 'below'} {_digits(self.high)}"
        if math.isinf(self.high):
            above = f"above {_digits(self.low)}" if self.low else "positive"
            return f"at least {_digits(self.low)}" if has_low else above
        return f"in {'[' if has_low else '('}{_digits(self.low)}, {_digits(self.high)}{']' if has_high else ')'}"


#: The positive numbers.
POSITIVE = Interval(0.0, closed="neither")
#: The fractions of a whole of which something is left.
FRACTION = Interval(0.0, 1.0, closed="left")
#: The fractions above 0 of a whole of which something is left.
INNER_FRACTION = Interval(0.0, 1.0, closed="neither")


def integer(name: str, value: Any, minimum: int, maximum: int | None = None, *, hint: str = "") -> int:
    """`value` as an `int` from `minimum` to `maximum`, or a `TypeError` / `ValueError`, which ends in `hint`."""
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer; got {shown(value)}.")
    interval = Interval(minimum, math.inf if maximum is None else maximum)
    if int(value) not in interval:
        raise ValueError(_message(name, interval, shown(int(value)), hint))
    return int(value)


def number(name: str, value: Any, interval: Interval, *, hint: str = "") -> float:
    """`value` as a `float` in an interval, or a `TypeError` / `ValueError`, which ends in `hint`."""
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a number; got {shown(value)}.")
    try:
        value = float(value)
    except OverflowError:  # an integer beyond every float
        value = math.inf if value > 0 else -math.inf
    if value not in interval:
        is_half_line = math.isinf(interval.low) != math.isinf(interval.high)
        raise ValueError(_message(name, f"{interval}{' and finite' if is_half_line else ''}", str(value), hint))
    return value


def numbers_in(name: str, values: Any, interval: Interval) -> np.ndarray:
    """A number or an array of numbers, each in an interval, or a `TypeError` / `ValueError`."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must be a number or an array of numbers; got {shown(values)}.")
    for extreme in (array.min(), array.max()) if array.size else ():  # NaN is both
        number(name, extreme.item(), interval)
    return array


def positive(name: str, value: Any) -> float:
    """`value` as a finite positive `float`, or a `TypeError` / `ValueError`."""
    return number(name, value, POSITIVE)


def seed(name: str, value: Any) -> int | None:
    """`value` as an `int` that is not negative, or None; or a `TypeError` / `ValueError`."""
    return None if value is None else integer(name, value, 0)


def seed_or_random(name: str, value: Any) -> int:
    """`value` as an `int` that is not negative, a random one for None; or a `TypeError` / `ValueError`."""
    return int(np.random.default_rng().integers(2**31)) if value is None else integer(name, value, 0)


def choice(name: str, value: Any, options: Sequence[str]) -> str:
    """`value`, if it is one of the strings `options`, or a `ValueError`."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, options))}; got {shown(value)}.")
    return str(value)


def flag(name: str, value: Any) -> bool:
    """`value` as a `bool`, or a `TypeError`."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False; got {shown(value)}.")
    return bool(value)


def shape(name: str, value: Any, min_rank: int = 0, *, partial: bool = False, least: int = 1) -> tuple[int, ...]:
    """`value` (an int or several) as a tuple of sizes of at least `least`; some may be None if `partial`."""
    value = _scalar(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = (value,)
    if hasattr(value, "as_list"):
        value = value.as_list() if value.rank is not None else None
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"`{name}` must be a list of sizes such as [2]; got {shown(value)}.")
    known = [size is not None or not partial for size in value]
    sizes: Any = tuple(integer(f"{name}[{i}]", size, least) if known[i] else None for i, size in enumerate(value))
    if len(sizes) < min_rank:
        raise ValueError(f"`{name}` must have at least {min_rank} dimension(s); got {list(sizes)}.")
    return sizes


def vector_shape(name: str, value: Any) -> tuple[int]:
    """`value` as (d,), or a `TypeError` / `ValueError`."""
    sizes = shape(name, value)
    if len(sizes) != 1:
        raise ValueError(f"`{name}` must be [d], the shape of a vector; got {list(sizes)}.")
    return sizes


def image_shape(name: str, value: Any, *, partial: bool = False) -> tuple[int, int, int]:
    """`value` as (height, width, channels), some of them None if `partial`, or a `TypeError` / `ValueError`."""
    sizes = shape(name, value, partial=partial)
    if len(sizes) != 3:
        raise ValueError(f"`{name}` must be [height, width, channels], the shape of an image; got {list(sizes)}.")
    return sizes


def channels_or_shape(name: str, value: Any) -> tuple[int, ...]:
    """`value` as the shape of an event of at least two dimensions; (None, None, c) of a number of channels c alone."""
    if isinstance(_scalar(value), numbers.Integral):
        return shape(name, [None, None, value], partial=True)
    sizes = shape(name, value, min_rank=2, partial=True)
    integer(f"{name}[-1]", sizes[-1], 1)
    return sizes


def hidden_units(name: str, value: Any) -> tuple[int, ...]:
    """`value` (an int or a sequence of ints) as a tuple of at least one layer width."""
    sizes = shape(name, value)
    if not sizes:
        raise ValueError(f"`{name}` must name at least one hidden layer; got {shown(value)}.")
    return sizes


def width(name: str, value: Any) -> int:
    """`value` (an int or a sequence of equal ints) as the one width of a network's hidden layers."""
    if np.ndim(value) == 0:
        return integer(name, value, 1)
    sizes = hidden_units(name, value)
    if len(set(sizes)) > 1:
        raise ValueError(f"`{name}` must be one width, as all hidden layers have the same; got {list(sizes)}.")
    return sizes[0]


def mask(name: str, value: Any, rank: int | None = None, *, of: str = "") -> np.ndarray:
    """`value` (an array of booleans, or of numbers that are 0 or 1) as a boolean array of rank at least 1, or `rank`.

    Raises:
      TypeError: for other types or another rank; the message ends in `of`.
      ValueError: for other numbers.
    """
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "biuf" or array.ndim == 0 or rank not in (None, array.ndim):
        kind = "a vector" if rank == 1 else "an array"
        raise TypeError(f"`{name}` must be {kind} of booleans, or of 0 and 1{of}; got {shown(value)}.")
    others = array[(array != 0) & (array != 1)]
    if others.size:
        raise ValueError(f"`{name}` must hold True and False, or 1 and 0; got {others[0]}.")
    return array.astype(bool)


def local_path(name: str, value: Any) -> Path:
    """`value` as a `Path` on a file system of this machine, or a `TypeError` / `ValueError` for others and for ""."""
    if not isinstance(value, (str, os.PathLike)) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"`{name}` must be a path; got {shown(value)}.")
    text = os.fspath(value)
    if not text or "\0" in text:
        raise ValueError(f"`{name}` must name a file or folder; got {text!r}.")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):  # `Path` makes "gs:/bucket" of "gs://bucket"
        raise ValueError(
            f"`{name}` must be on a file system of this machine; got {text!r}. Write to a folder here, then copy it."
        )
    return Path(text)


def sequence(name: str, value: Any, kind: type, of: str) -> list:
    """`value` as a list of `kind`s, or a `TypeError` that says what they are."""
    try:
        items = [] if isinstance(value, (str, bytes, kind)) else list(value)
    except TypeError:  # nothing that can be iterated over
        items = [None]
    if isinstance(value, (str, bytes, kind)) or not all(isinstance(item, kind) for item in items):
        raise TypeError(f"`{name}` must be a list of {of}; got {shown(value)}.")
    return items


def numbers_array(name: str, value: Any) -> np.ndarray:
    """`value` as an array of float64, or a `TypeError`."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be an array of numbers; got {shown(value)}.") from None
    return array.astype(np.float64)


def instance(name: str, value: Any, kind: type, example: str) -> Any:
    """`value` if it is a `kind`, or a `TypeError` that shows an `example`."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "aeiouAEIOU" else "a"
        raise TypeError(f"`{name}` must be {article} {kind.__name__}, for example `{example}`; got {shown(value)}.")
    return value


def permutation(name: str, value: Any) -> tuple[int, ...]:
    """`value` (a sequence or vector of ints) as a tuple that holds each of 0, …, len − 1 once."""
    if not isinstance(value, (Sequence, np.ndarray)) and hasattr(value, "__array__"):
        value = np.asarray(value)
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)) or np.ndim(value) != 1:
        raise TypeError(f"`{name}` must be a list of integers such as [1, 0, 2]; got {shown(value)}.")
    order = tuple(integer(f"{name}[{i}]", element, 0) for i, element in enumerate(value))
    if sorted(order) != list(range(len(order))) or not order:
        last = max(len(order) - 1, 0)
        raise ValueError(f"`{name}` must hold each of the integers from 0 to {last} once; got {shown(list(order))}.")
    return order


def shown(value: Any, length: int = 100) -> str:
    """A value in an error message: its `repr`, on one line and cut to a length."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a `repr` may be anyone's, and Python has none of an int of 5,000 digits
        text = f"an object of class {type(value).__name__}"
    return text if len(text) <= length else text[: length - 1] + "…"


def _message(name: str, rule: Any, value: str, hint: str) -> str:
    return f"`{name}` must be {rule}; got {value}." + (f" {hint}" if hint else "")


def _scalar(value: Any) -> Any:
    """The number in an array of shape []; anything else as it is."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _digits(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value and not isinstance(value, int) else str(value)
