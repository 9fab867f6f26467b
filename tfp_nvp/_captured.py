"""Constructor arguments, captured once for every object that is made from them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import tensorflow as tf

from tfp_nvp._keywords import refuse_unknown
from tfp_nvp._warnings import warn

#: The key of the arguments of a constructor with `*args`: all that were given by position.
POSITIONAL = "*"


class Captured:
    """A base whose `parameters` are the arguments that the constructor was called with, defaults included.

    Copies, `.keras` files, pickles and `repr` use them, so all state other than weights must follow from them.
    """

    _captured: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        make = super().__new__
        self = make(cls) if make is object.__new__ else make(cls, *args, **kwargs)
        object.__setattr__(self, "_captured", arguments_of(cls, args, kwargs))
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return dict(self._captured)

    def __repr__(self) -> str:
        """The class, and the arguments that are not the defaults."""
        return f"{type(self).__name__}({', '.join(_shown(self))})"


def arguments_of(cls: type, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `cls(*args, **kwargs)` by name, with defaults.

    Raises:
      TypeError: if the constructor does not take them, with what was probably meant.
    """
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    refuse_unknown(cls.__name__, signature, (None, *args), kwargs)
    bound = signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    (self, *_), arguments = signature.parameters, dict(bound.arguments)
    del arguments[self]
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= arguments.pop(name)
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL and not arguments.pop(name):
            continue
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            arguments = {POSITIONAL: bound.args[1:], **bound.kwargs}
            break
    arguments.pop("parameters", None)  # TFP's own, for classes that capture by hand
    return arguments


#: Whether an object that exists, in a file or in memory, is being made anew.
_restoring: ContextVar[bool] = ContextVar("restoring", default=False)


def construct(cls: type, arguments: dict[str, Any]) -> Any:
    """A new object of the arguments that `arguments_of` gives."""
    named = {name: value for name, value in arguments.items() if name != POSITIONAL}
    token = _restoring.set(True)
    try:
        return cls(*arguments.get(POSITIONAL, ()), **named)
    finally:
        _restoring.reset(token)


def refuse(message: str) -> None:
    """Raises `ValueError`; only warns while an object is restored that an earlier version of this package accepted."""
    if not _restoring.get():
        raise ValueError(message)
    warn(f"{message} It is kept only as it comes from a file or is a copy.")


def _shown(captured: Captured) -> Iterator[str]:
    """Yields "name=value" for each short argument that differs from its default."""
    signature = inspect.signature(type(captured).__init__).parameters
    for name, value in captured._captured.items():
        if name in _LEFT_OUT:
            continue
        default = signature[name].default if name in signature else None
        if value is not default and _is_short(value) and value != default:
            yield f"{name}={list(value) if isinstance(value, tuple) else value!r}"


def _is_short(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= 8 and all(map(_is_short, value))
    if isinstance(value, Captured):
        return not isinstance(value, tf.Module)
    return value is None or isinstance(value, (bool, int, float, str))


#: Arguments that a `repr` does not show.
_LEFT_OUT = frozenset({"name", "seed", "dtype", "num_outputs"})


def default_name(cls: type) -> str | None:
    """The default of the constructor's argument `name`."""
    parameter = inspect.signature(cls.__init__).parameters.get("name")  # type: ignore[misc]
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default
