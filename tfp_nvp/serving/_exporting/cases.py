"""Inputs to check a served model with, and the outputs that Python computes for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp.serving._exporting.served import Served, condition_specs
from tfp_nvp.serving._exporting.signatures import Signature
from tfp_nvp.serving._exporting.verify import Arrays, Case
from tfp_nvp.serving._folders.condition_names import named_condition

_NUM_ROWS = 8


def cases(model: Served, signatures: dict[str, Signature], x: Any = None, condition: Any = None) -> dict[str, Case]:
    """Computes some rows of inputs for each signature, and their outputs, eagerly."""
    inputs = inputs_for(model, signatures, x, condition)
    return {name: Case(pick(inputs, signature), run(signature, inputs)) for name, signature in signatures.items()}


def inputs_for(
    model: Served, signatures: dict[str, Signature], x: Any = None, condition: Any = None, most: int = _NUM_ROWS
) -> Arrays:
    """Returns rows of every input of a flow's signatures, by name.

    Args:
      model: the served model.
      signatures: its signatures.
      x: rows of data; by default samples of the model.
      condition: rows of the raw condition (a dict by input name if there are several); by
        default the encoder's center, or zeros.
      most: number of rows, if `x` and `condition` have so many.

    Raises:
      ValueError: if rows do not fit the model.
    """
    specs = condition_specs(model)
    center = getattr(model.encoder, "center", None)
    if condition is None and center is not None:  # of the standardization in `fit`: zeros may be far from the data
        condition = np.tile(np.asarray(center), (most, 1))
    if condition is None:
        condition = dict.fromkeys(specs)
    raw = named_condition(condition, specs)
    if set(raw) != set(specs):
        raise ValueError(f"`warmup_condition` must hold rows for {sorted(specs)}; got {sorted(raw)}.")
    num_rows = min([most, *(len(values) for values in (*raw.values(), x) if values is not None)])
    if num_rows < 1:
        raise ValueError("`warmup` and `warmup_condition` must hold at least one row.")
    inputs = {name: _fit(name, raw[name], spec, num_rows) for name, spec in specs.items()}
    inputs["seed"] = np.stack([np.zeros(num_rows), np.arange(num_rows)], axis=-1).astype(np.int32)
    if "sample_tempered" in signatures:
        dtype = signatures["sample_tempered"].inputs["temperature"].dtype.as_numpy_dtype
        inputs["temperature"] = np.linspace(0.5, 1.0, num_rows, dtype=dtype)
    spec = signatures["log_prob"].inputs["x"]
    if x is None and "sample" in signatures:
        inputs["x"] = run(signatures["sample"], inputs)["x"]
    else:
        inputs["x"] = _fit("warmup", x, spec, num_rows)
    if "encode" in signatures:
        inputs["z"] = run(signatures["encode"], inputs)["z"]
    return inputs


def run(signature: Signature, inputs: Arrays) -> Arrays:
    """Computes a signature's outputs on the CPU, as the check does."""
    with tf.device("CPU"):
        tensors = {name: tf.constant(value) for name, value in pick(inputs, signature).items()}
        return {name: value.numpy() for name, value in signature.call(**tensors).items()}


def pick(inputs: Arrays, signature: Signature) -> Arrays:
    """The inputs of a signature; zeros for those that a flow's signatures do not have."""
    num_rows = len(next(iter(inputs.values())))

    def fits(name: str, spec: tf.TensorSpec) -> bool:
        return name in inputs and spec.shape.is_compatible_with(inputs[name].shape) and spec.dtype == inputs[name].dtype

    return {
        name: inputs[name] if fits(name, spec) else _fit(name, None, spec, num_rows)
        for name, spec in signature.inputs.items()
    }


def _fit(name: str, value: Any, spec: tf.TensorSpec, num_rows: int) -> np.ndarray:
    """Returns `num_rows` rows of `value`, or of zeros, with the dtype and shape of `spec`."""
    shape = [num_rows, *(1 if size is None else size for size in spec.shape[1:])]
    if value is None:
        return np.full(shape, "" if spec.dtype == tf.string else 0, spec.dtype.as_numpy_dtype)
    array = np.asarray(value[:num_rows])
    if spec.dtype != tf.string:
        array = array.astype(spec.dtype.as_numpy_dtype)
    if not spec.shape.is_compatible_with(array.shape):
        raise ValueError(f"`{name}` must hold rows of shape {spec.shape[1:].as_list()}; got shape {np.shape(value)}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite; the first {num_rows} row(s) are not.")
    return array
