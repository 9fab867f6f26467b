"""Tensors in the JSON of the REST API."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tests.serving.wire.model_server.errors import invalid

Arrays = dict[str, np.ndarray]


def parse(body: bytes) -> dict[str, Any]:
    """A request's body as an object: the first value in it, of which text may follow.

    Raises:
      ServingError: INVALID_ARGUMENT, as from every function here, for what is not in the API's format.
    """
    try:
        text = _INFINITY.sub(lambda found: found[0] if found[0][0] == '"' else f"{found[0]}inity", body.decode())
        document, _ = _DECODER.raw_decode(text.lstrip(" \t\r\n"))
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid("JSON Value: Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise invalid("'signature_name' key must be a string value.")
    return document


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def _float(text: str) -> float:
    value = float(text)
    if np.isinf(value):
        raise ValueError("Number too big to be stored in double.")
    return value


def _integer(text: str) -> int | float:
    """Beyond 64 bits a number is a double."""
    return int(text) if len(text) < 20 and -(2**63) <= int(text) < 2**64 else _float(text)


_INFINITY = re.compile(r'"(?:[^"\\]|\\.)*"|\bInf\b')  # strings, to pass over them
_DECODER = json.JSONDecoder(  # takes NaN and Infinity, as the server does
    object_pairs_hook=_first_of_each, parse_float=_float, parse_int=_integer
)


def read_inputs(document: dict[str, Any], dtypes: Mapping[str, tf.DType]) -> tuple[Arrays, bool]:
    """The inputs of a request, in the row or the column format, and whether it is that of rows."""
    if ("instances" in document) == ("inputs" in document):
        raise invalid("Exactly one of the keys 'inputs' and 'instances' must exist.")
    if "instances" in document:
        return _from_rows(document["instances"], dtypes), True
    return _from_columns(document["inputs"], dtypes), False


def write_outputs(outputs: Arrays, in_rows: bool) -> dict[str, Any]:
    """What the server answers with: `predictions` of rows, or `outputs` of columns; a lone output has no name."""
    lists = {name: _as_list(value, in_base64=name.endswith("_bytes")) for name, value in outputs.items()}
    if not in_rows:
        return {"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}
    if any(value.ndim == 0 for value in outputs.values()):
        raise invalid("An output without rows can't be written in rows.")
    if len({len(value) for value in outputs.values()}) > 1:
        raise invalid("Outputs have different numbers of rows.")
    rows = zip(*lists.values(), strict=True)
    return {"predictions": [dict(zip(lists, row, strict=True)) if len(lists) > 1 else row[0] for row in rows]}


def _from_rows(rows: Any, dtypes: Mapping[str, tf.DType]) -> Arrays:
    if not isinstance(rows, list) or not rows:
        raise invalid("'instances' must be a list with at least one value.")
    named = _is_named(rows[0])
    if not named and len(dtypes) > 1:
        raise invalid("'instances' must hold objects, as there are several inputs.")
    if any(_is_named(row) != named for row in rows):
        raise invalid("'instances' must not mix values with objects.")
    if not named:
        return {name: _tensor(rows, dtype) for name, dtype in dtypes.items()}
    if any(set(row) != set(dtypes) for row in rows):
        raise invalid(f"Keys of each of the 'instances' must be {sorted(dtypes)}.")
    return {name: _tensor([row[name] for row in rows], dtype) for name, dtype in dtypes.items()}


def _from_columns(columns: Any, dtypes: Mapping[str, tf.DType]) -> Arrays:
    if not _is_named(columns):
        if len(dtypes) > 1:
            raise invalid("'inputs' must be an object, as there are several inputs.")
        return {name: _tensor(columns, dtype) for name, dtype in dtypes.items()}
    missing = set(dtypes) - set(columns)
    if missing:
        raise invalid(f"Missing named inputs {sorted(missing)} in 'inputs' object.")
    return {name: _tensor(columns[name], dtype) for name, dtype in dtypes.items()}  # extra ones are ignored


def _is_named(value: Any) -> bool:
    """Whether it is an object of inputs, and not the object that spells bytes."""
    return isinstance(value, dict) and not (set(value) == {"b64"} and isinstance(value["b64"], str))


def _tensor(value: Any, dtype: tf.DType) -> np.ndarray:
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    flat: list[Any] = []
    _flatten(value, shape, dtype, flat)
    try:
        if dtype.is_integer and dtype.size < 4:  # they travel as int32, and wrap
            return np.array(flat, np.int32).astype(dtype.as_numpy_dtype).reshape(shape)
        with np.errstate(over="ignore"):  # numbers beyond the dtype are infinite
            return np.array(flat, dtype.as_numpy_dtype).reshape(shape)
    except OverflowError as error:
        raise invalid(f"A value does not fit {dtype.name}.") from error


def _flatten(value: Any, shape: list[int], dtype: tf.DType, flat: list[Any]) -> None:
    if isinstance(value, list) != bool(shape):
        raise invalid("Values are nested to different depths.")
    if not shape:
        flat.append(_scalar(value, dtype))
        return
    if len(value) != shape[0]:
        raise invalid(f"Encountered list at unexpected size: {len(value)} expected size: {shape[0]}")
    for each in value:
        _flatten(each, shape[1:], dtype, flat)


def _scalar(value: Any, dtype: tf.DType) -> Any:
    if dtype == tf.string and isinstance(value, dict) and not _is_named(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error as error:
            raise invalid("Unable to base64 decode") from error
    if dtype == tf.string and isinstance(value, str):
        return value.encode()
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if dtype.is_floating and number:
        return float(value)
    if dtype.is_integer and number and isinstance(value, int):
        return value
    if dtype == tf.bool and isinstance(value, bool):
        return value
    raise invalid(f"JSON Value: {value!r} is not of expected type: {dtype.name}")


def _as_list(value: np.ndarray, in_base64: bool) -> Any:
    """Nested lists; float32 with the digits that tell it from its neighbours, as the server writes it."""
    if value.dtype == np.float32:
        return np.array([float(str(each)) for each in value.ravel()], np.float64).reshape(value.shape).tolist()
    if value.dtype == object:
        spelled = [{"b64": base64.b64encode(each).decode()} if in_base64 else each.decode() for each in value.ravel()]
        return np.array(spelled, object).reshape(value.shape).tolist()
    return value.tolist()
