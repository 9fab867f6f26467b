"""How a conditioner of vectors takes its inputs."""

from __future__ import annotations

import math
from typing import Any

import keras


def join(*parts: Any) -> Any:
    """The parts that are there, flattened to [n, ...] → [n, size] and side by side."""
    flat = [
        part if len(part.shape) == 2 else keras.ops.reshape(part, (-1, math.prod(part.shape[1:])))
        for part in parts
        if part is not None
    ]
    return flat[0] if len(flat) == 1 else keras.ops.concatenate(flat, axis=-1)


def joined_size(*shapes: Any) -> int:
    """The last dimension of what `join` makes of tensors of these shapes."""
    return sum(math.prod(shape[1:]) for shape in shapes if shape is not None)
