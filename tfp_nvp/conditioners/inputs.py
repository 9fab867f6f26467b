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


def join_channels(image: Any, condition: Any = None) -> Any:
    """The channels of an image [n, h, w, k], and a condition as more of them.

    A condition [n, h, w, m] is put side by side with the image, any other is flattened and given to every pixel.
    """
    if condition is None:
        return image
    if not _is_image_of(image.shape, condition.shape):
        n, h, w, _ = keras.ops.shape(image)
        flat = keras.ops.reshape(condition, (-1, 1, 1, math.prod(condition.shape[1:])))
        condition = keras.ops.broadcast_to(flat, (n, h, w, flat.shape[-1]))
    return keras.ops.concatenate([image, condition], axis=-1)


def joined_channels(image_shape: Any, condition_shape: Any = None) -> int:
    """The number of channels of what `join_channels` makes of tensors of these shapes."""
    if condition_shape is None:
        return image_shape[-1]
    as_image = _is_image_of(image_shape, condition_shape)
    return image_shape[-1] + (condition_shape[-1] if as_image else math.prod(condition_shape[1:]))


def _is_image_of(image_shape: Any, condition_shape: Any) -> bool:
    return len(condition_shape) == 4 and tuple(condition_shape[1:3]) == tuple(image_shape[1:3])
