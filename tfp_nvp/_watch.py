"""Records the results of the layers of a chain."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

tfb = tfp.bijectors


class Step(NamedTuple):
    """The result of one layer of a chain."""

    bijector: tfb.Bijector
    value: tf.Tensor
    log_det: tf.Tensor


_watchers: contextvars.ContextVar[tuple[list[Step], ...]] = contextvars.ContextVar("watchers", default=())


@contextlib.contextmanager
def watch_steps() -> Iterator[list[Step]]:
    """Collects the results of all layers, in order, while the context is open."""
    steps: list[Step] = []
    token = _watchers.set((*_watchers.get(), steps))
    try:
        yield steps
    finally:
        _watchers.reset(token)


def report_step(bijector: tfb.Bijector, value: tf.Tensor, log_det: tf.Tensor) -> None:
    """Reports a layer's result to every open `watch_steps`."""
    for steps in _watchers.get():
        steps.append(Step(bijector, value, log_det))
