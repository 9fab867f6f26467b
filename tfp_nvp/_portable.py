"""Whether graphs are traced for runtimes that have fewer operations than TensorFlow: those of ONNX and LiteRT alone."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

_is_portable = contextvars.ContextVar("is_portable", default=False)


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """Has what is traced while this is open use operations that other runtimes have; it computes the same."""
    token = _is_portable.set(True)
    try:
        yield
    finally:
        _is_portable.reset(token)


def is_portable() -> bool:
    """Whether `portable` is open."""
    return _is_portable.get()
