"""The specs of a server's signatures, and the check of its answers against them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp.serving._asking.errors import ServingError

Arrays = dict[str, np.ndarray]
Specs = dict[str, tf.TensorSpec]


class Spec(tf.TensorSpec):
    """A tensor's spec, and names of the columns of a table; None without names."""

    columns: tuple[str, ...] | None = None

    @classmethod
    def of(cls, sizes: list[int], names: list[str], dtype: Any, name: str) -> Spec:
        """The spec of sizes, −1 for any, and names of dimensions; that of the last is a JSON list of columns."""
        spec = cls([None if size < 0 else size for size in sizes], tf.as_dtype(dtype), name=name)
        with contextlib.suppress(ValueError):
            columns = json.loads(names[-1]) if names else None
            if isinstance(columns, list) and len(columns) == sizes[-1]:
                spec.columns = tuple(map(str, columns))
        return spec


def specs_of_protos(tensors: Any) -> Specs:
    """The specs of a signature's inputs or outputs, from protobuf."""
    specs: Specs = {}
    for name, info in tensors.items():
        dims = info.tensor_shape.dim
        if info.tensor_shape.unknown_rank:
            specs[name] = tf.TensorSpec(None, tf.as_dtype(info.dtype), name=name)
        else:
            specs[name] = Spec.of([dim.size for dim in dims], [dim.name for dim in dims], info.dtype, name)
    return specs


def specs_of_json(tensors: dict[str, Any]) -> Specs:
    """The specs of a signature's inputs or outputs, from JSON."""
    specs: Specs = {}
    for name, info in tensors.items():
        dims = info["tensor_shape"].get("dim", [])
        dtype = info["dtype"].removeprefix("DT_").lower()
        specs[name] = Spec.of([int(dim["size"]) for dim in dims], [dim.get("name", "") for dim in dims], dtype, name)
    return specs


def check_shape(name: str, shape: list[int], spec: tf.TensorSpec, n: int) -> None:
    """Raises `ValueError` if an output for n rows has another shape than its spec says."""
    if not shape or shape[0] != n or not spec.shape.is_compatible_with(shape):
        raise ValueError(f"the output {name!r} for {n} rows has shape {shape}, not {spec.shape.as_list()}")


@contextlib.contextmanager
def understood(where: str) -> Iterator[None]:
    """Raises `ServingError` for what the answer of a server should not hold, and passes its errors on."""
    try:
        yield
    except ServingError:
        raise
    except Exception as error:  # of TensorFlow, NumPy, JSON and protobuf, which have no common class
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ServingError(f"{where}: the answer is not that of a model server: {reason}") from error
