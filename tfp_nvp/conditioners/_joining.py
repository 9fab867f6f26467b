"""Joins the inputs of a conditioner and the condition."""

from __future__ import annotations

import math
from typing import Any

import keras


def join(*tensors: Any) -> Any:
    """Concatenates tensors [n, ...], each flattened to [n, size]; None and those of no numbers are left out."""
    flat = [
        tensor if len(tensor.shape) == 2 else keras.ops.reshape(tensor, (-1, math.prod(tensor.shape[1:])))
        for tensor in tensors
        if tensor is not None
    ]
    flat = [tensor for tensor in flat if tensor.shape[-1]] or flat[:1]
    return flat[0] if len(flat) == 1 else keras.ops.concatenate(flat, axis=-1)


def joined_size(*shapes: Any) -> int:
    """The last dimension of `join` of tensors of these shapes."""
    return sum(math.prod(shape[1:]) for shape in shapes if shape is not None)


def join_channels(image: Any, condition: Any = None) -> Any:
    """Joins a condition to the channels of an image [n, h, w, k].

    Squares of f × f pixels of a condition [n, f h, f w, m] become channels; any other is flattened and repeated at
    every pixel.
    """
    if condition is None:
        return image
    factor = _factor(image.shape, condition.shape)
    if factor is None:
        n, h, w, _ = keras.ops.shape(image)
        flat = keras.ops.reshape(condition, (-1, 1, 1, math.prod(condition.shape[1:])))
        condition = keras.ops.broadcast_to(flat, (n, h, w, flat.shape[-1]))
    elif factor > 1:
        _, h, w, _ = image.shape
        squares = keras.ops.reshape(condition, (-1, h, factor, w, factor, condition.shape[-1]))
        condition = keras.ops.reshape(
            keras.ops.transpose(squares, (0, 1, 3, 2, 4, 5)), (-1, h, w, factor**2 * condition.shape[-1])
        )
    return keras.ops.concatenate([image, condition], axis=-1)


def joined_channels(image_shape: Any, condition_shape: Any = None) -> int:
    """The number of channels of `join_channels` of tensors of these shapes."""
    if condition_shape is None:
        return image_shape[-1]
    factor = _factor(image_shape, condition_shape)
    added = math.prod(condition_shape[1:]) if factor is None else factor**2 * condition_shape[-1]
    return image_shape[-1] + added


def _factor(image_shape: Any, condition_shape: Any) -> int | None:
    """The ratio of the condition's size to the image's, if it is an image of the same proportions, else None."""
    if len(condition_shape) != 4:
        return None
    factor = condition_shape[1] // image_shape[1]
    fits = tuple(condition_shape[1:3]) == (factor * image_shape[1], factor * image_shape[2])
    return factor if factor and fits else None
