"""How layers that estimate their log-det, or are costly without need, know what is asked of them."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf


class Draw(NamedTuple):
    """The seed of estimates that are drawn, and what layers add to the loss of a training step."""

    seed: tf.Tensor
    penalties: list[tf.Tensor]


_draw: contextvars.ContextVar[Draw | None] = contextvars.ContextVar("draw", default=None)
_needs_log_det: contextvars.ContextVar[bool] = contextvars.ContextVar("needs_log_det", default=True)


@contextlib.contextmanager
def drawn_from(seed: tf.Tensor) -> Iterator[Draw]:
    """Has layers that estimate their log-det draw without bias from this stateless seed [2], while open.

    Elsewhere they use random numbers that are fixed when a layer is made, the same for every event: a likelihood is
    then a function of weights and event alone.
    """
    draw = Draw(seed, [])
    token = _draw.set(draw)
    try:
        yield draw
    finally:
        _draw.reset(token)


def seed_for(salt: int) -> tf.Tensor | None:
    """The seed [2] of one layer, which differs from other layers' by `salt`; None where nothing is to be drawn."""
    draw = _draw.get()
    return None if draw is None else tf.random.experimental.stateless_fold_in(draw.seed, salt)


def penalize(penalty: tf.Tensor) -> None:
    """Adds a number to the loss, if this is a training step."""
    draw = _draw.get()
    if draw is not None:
        draw.penalties.append(penalty)


@contextlib.contextmanager
def values_alone() -> Iterator[None]:
    """Has layers whose log-det costs more than the value return anything for it, while open."""
    token = _needs_log_det.set(False)
    try:
        yield
    finally:
        _needs_log_det.reset(token)


def needs_log_det() -> bool:
    """Whether anybody will read the log-det."""
    return _needs_log_det.get()
