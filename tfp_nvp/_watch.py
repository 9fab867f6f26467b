"""Records what each layer of a chain returns."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

tfb = tfp.bijectors


class Step(NamedTuple):
    """What one layer of a chain returned, for `watch_steps`."""

    bijector: tfb.Bijector
    value: tf.Tensor
    log_det: tf.Tensor


_watchers: contextvars.ContextVar[tuple[list[Step], ...]] = contextvars.ContextVar("watchers", default=())


@contextlib.contextmanager
def watch_steps() -> Iterator[list[Step]]:
    """Collects, in order, what each layer of a chain returns while the context is open."""
    steps: list[Step] = []
    token = _watchers.set((*_watchers.get(), steps))
    try:
        yield steps
    finally:
        _watchers.reset(token)


def report_step(bijector: tfb.Bijector, value: tf.Tensor, log_det: tf.Tensor) -> None:
    """Tells every open `watch_steps` what a layer returned."""
    for steps in _watchers.get():
        steps.append(Step(bijector, value, log_det))
