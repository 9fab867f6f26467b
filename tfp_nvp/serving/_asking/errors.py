"""The exceptions for a model server's errors."""

from __future__ import annotations

import re


class ServingError(RuntimeError):
    """A model server answered with an error, or with none that can be read; `code` is its name in gRPC."""

    code = "UNKNOWN"


class NotFound(ServingError, LookupError):
    """The server has no such model or version."""

    code = "NOT_FOUND"


class InvalidRequest(ServingError, ValueError):
    """The request does not fit the model: a signature, label, name, shape, dtype or size."""

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
        "RESOURCE_EXHAUSTED": Unavailable,  # all threads are busy, or memory is short
    }
    if code == "RESOURCE_EXHAUSTED" and re.search(r"message.* larger than", message):  # gRPC says so of either side
        return too_large(message)
    error = error_types.get(code, ServingError)(message)
    error.code = code
    return error


def too_large(message: str) -> InvalidRequest:
    """The exception for a request or an answer of too many bytes."""
    error = InvalidRequest(f"{message}. Lower `chunk_rows`.")
    error.code = "RESOURCE_EXHAUSTED"
    return error
