"""Has the networks of a model compute in bfloat16, and everything else as it was."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors import Autoregressive, Coupling
from tfp_nvp.bijectors._amortized import Amortized
from tfp_nvp.serving._exporting.served import Served, served

#: Dtypes that networks can compute in.
COMPUTE = ("bfloat16",)
#: Layers that are exact whatever computes their parameters; the log-dets of others are those of their networks.
_LAYERS = (Coupling, Autoregressive, Amortized)
_REPEATS = 7


def computing_in(model: Any, dtype: str) -> Served:
    """The parts of a copy of a model, as `export` takes it, whose float32 conditioners compute in `dtype`.

    Weights stay float32.

    Raises:
      ValueError: if it has none.
    """
    parts = served(copy.deepcopy(model))
    layers = [
        layer
        for module in parts.distribution.submodules
        if isinstance(module, _LAYERS) and module.conditioner is not None
        for layer in module.conditioner._flatten_layers()
        if layer.dtype_policy.name == "float32"
    ]
    if not layers:
        raise ValueError(
            f"`compute` = {dtype!r} changes nothing: the model has no couplings and no autoregressive layers with "
            "networks of float32. Leave it out."
        )
    for layer in layers:
        layer.dtype_policy = f"mixed_{dtype}"
    return parts


def speed(before: Any, after: Any, inputs: Mapping[str, np.ndarray]) -> float:
    """How many times as fast `after` is as `before`: the ratio of the least of some alternating times."""
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    seconds: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(_REPEATS + 1):
        for i, function in enumerate((before, after)):
            start = time.perf_counter()
            tf.nest.map_structure(lambda value: value.numpy(), function(**tensors))
            seconds[i].append(time.perf_counter() - start)
    return min(seconds[0][1:]) / min(seconds[1][1:])  # the first optimize their graphs
