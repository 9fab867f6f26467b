"""The exceptions for a model server's errors."""

from __future__ import annotations


class ServingError(RuntimeError):
    """A model server answered with an error; `code` is its name in gRPC, such as "INTERNAL"."""

    code = "UNKNOWN"


class NotFound(ServingError, LookupError):
    """The server has no such model or version."""

    code = "NOT_FOUND"


class InvalidRequest(ServingError, ValueError):
    """The request does not fit the model: a signature, label, name, shape or dtype."""

    code = "INVALID_ARGUMENT"


class TimedOut(ServingError, TimeoutError):
    """No answer in time. The server may still have run the request."""

    code = "DEADLINE_EXCEEDED"


class Unavailable(ServingError, ConnectionError):
    """No server listens, or it is too busy and has not run the request."""

    code = "UNAVAILABLE"


def error_of(code: str, message: str) -> ServingError:
    """The exception for a gRPC status code."""
    error_types: dict[str, type[ServingError]] = {
        "NOT_FOUND": NotFound,
        "INVALID_ARGUMENT": InvalidRequest,
        "FAILED_PRECONDITION": InvalidRequest,  # an unknown signature
        "OUT_OF_RANGE": InvalidRequest,
        "DEADLINE_EXCEEDED": TimedOut,
        "UNAVAILABLE": Unavailable,
    }
    error = error_types.get(code, ServingError)(message)
    error.code = code
    return error
