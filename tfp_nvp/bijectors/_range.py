"""Intervals of latents and of data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

#: By how much, relative to a bound of at least 1, two bounds that count as equal may differ: rounding in float32.
ROUNDING = 1e-6


class Range(NamedTuple):
    """The numbers from `low` to `high`, of every element; or arrays of bounds that broadcast to an event.

    >>> str(Range(0.0)), Range(0.0, 1.0).is_within(WHOLE), Range(0.0).is_whole
    ('from 0 to inf', True, False)
    """

    low: Any = -math.inf
    high: Any = math.inf

    @classmethod
    def of(cls, low: Any, high: Any) -> Range:
        """The range of two arrays of bounds, of which equal ones become one number."""
        low, high = (np.asarray(bounds, np.float64) for bounds in (low, high))
        if low.size and high.size and (low == low.flat[0]).all() and (high == high.flat[0]).all():
            return cls(float(low.flat[0]), float(high.flat[0]))
        return cls(low, high)

    @classmethod
    def of_elements(cls, mask: np.ndarray, inside: Range, outside: Range) -> Range:
        """`inside` of the elements of a mask [*event], `outside` of the others."""
        return cls.of(*(_placed(mask, of_mask, other) for of_mask, other in zip(inside, outside, strict=True)))

    def take(self, mask: np.ndarray) -> Range:
        """The range of the elements of a mask [*event], as a vector."""
        return Range.of(*(end if np.ndim(end) == 0 else _broadcast(end, mask)[..., mask] for end in self))

    @property
    def is_whole(self) -> bool:
        """Whether there is no bound."""
        return bool(np.all(np.isneginf(self.low)) and np.all(np.isposinf(self.high)))

    @property
    def is_one(self) -> bool:
        """Whether all elements have the same bounds."""
        return np.ndim(self.low) == 0 and np.ndim(self.high) == 0

    def equals(self, other: Range) -> bool:
        """Whether the bounds are the same, but for rounding."""
        return self.is_within(other) and other.is_within(self)

    def is_within(self, other: Range) -> bool:
        """Whether every number of this range is in `other`, but for rounding."""
        slack = [ROUNDING * np.maximum(1.0, np.where(np.isfinite(bound), np.abs(bound), 1.0)) for bound in other]
        return bool(np.all(self.low >= other.low - slack[0]) and np.all(self.high <= other.high + slack[1]))

    def cut(self, other: Range) -> Range:
        """The numbers that are in both; `other` where there are none."""
        low, high = np.maximum(self.low, other.low), np.minimum(self.high, other.high)
        return Range.of(low, high) if np.all(low < high) else other

    def hull(self, other: Range) -> Range:
        """The numbers between the least and the largest of both."""
        return Range.of(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def mapped(self, function: Callable[..., tuple[Any, ...]]) -> Range | None:
        """The range between the images of both bounds under a monotone function; None if they are not two numbers."""
        ends = np.broadcast_arrays(*(np.asarray(bounds, np.float64) for bounds in function(self.low, self.high)))
        low, high = np.minimum(*ends), np.maximum(*ends)
        return Range.of(low, high) if np.all(low < high) else None  # NaN is no number

    def __str__(self) -> str:
        if self.is_whole:
            return "all real numbers"
        low, high = (np.array2string(np.asarray(b), precision=6, separator=", ", threshold=6) for b in self)
        return f"from {low.rstrip('.')} to {high.rstrip('.')}"


def _placed(mask: np.ndarray, inside: Any, outside: Any) -> np.ndarray:
    ends = np.array(_broadcast(outside, mask), np.float64)
    ends[..., mask] = inside
    return ends


def _broadcast(ends: Any, mask: np.ndarray) -> np.ndarray:
    return np.broadcast_to(ends, np.broadcast_shapes(np.shape(ends), mask.shape))


#: Without a bound: also what is said of ranges that are not known.
WHOLE = Range()


class RangeError(ValueError):
    """Latents are of another range than those that a bijector maps."""

    def __init__(self, name: str, wanted: Range, latents: Range):
        super().__init__(f"{name} maps latents that are {wanted}, and gets latents that are {latents}")
        self.wanted, self.latents = wanted, latents


def check_fit(name: str, latents: Range, wanted: Range, part: bool) -> None:
    """Raises `RangeError` if latents are not what a bijector maps; where a `part` is enough, not within it."""
    if not (latents.is_within(wanted) if part else latents.equals(wanted)):
        raise RangeError(name, wanted, latents)


def mapped_by(function: Callable[[tf.Tensor], tf.Tensor], dtype: Any, values: Range) -> Range | None:
    """The range of `values` through a monotone function of tensors; None if it can't be told."""

    def ends(*bounds: Any) -> tuple[Any, ...]:
        return tuple(np.asarray(function(tf.constant(bound, dtype or tf.float32))) for bound in bounds)

    try:
        with tf.init_scope():
            return values.mapped(ends)
    except Exception:  # parameters that are tensors of a graph, assertions, other ranks: nothing is known
        return None
