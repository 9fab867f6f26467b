"""Arrays in the JSON of a server's REST API."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp.serving._asking.specs import check_shape


def to_json(rows: np.ndarray) -> Any:
    """Converts rows to nested lists for JSON; strings to base64."""
    if rows.dtype.kind in "OSU":
        encoded = [tf.compat.as_bytes(text) for text in rows.ravel()]
        objects = np.empty([rows.size], object)
        objects[:] = [{"b64": base64.b64encode(text).decode()} for text in encoded]
        return objects.reshape(rows.shape).tolist()
    return rows.tolist()


def from_json(name: str, value: Any, spec: tf.TensorSpec, n: int) -> np.ndarray:
    """Converts nested lists for n rows from JSON to an array; strings to bytes, as in gRPC.

    Raises:
      TypeError, ValueError, AttributeError: if they are not of the spec's shape and dtype.
    """
    if spec.dtype == tf.string:
        array = np.vectorize(_bytes_of_json, otypes=[object])(np.asarray(value, object))
    else:
        array = np.asarray(value, spec.dtype.as_numpy_dtype)
    check_shape(name, list(array.shape), spec, n)
    return array


def _bytes_of_json(text: Any) -> bytes:
    """Decodes a string, or base64, which the server uses for outputs named "…_bytes"."""
    return base64.b64decode(text["b64"]) if isinstance(text, dict) else text.encode()
