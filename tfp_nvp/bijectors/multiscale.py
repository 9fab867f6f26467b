"""Levels of an image flow; some channels leave after each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, shapes
from tfp_nvp.bijectors._range import WHOLE, Range
from tfp_nvp.bijectors._ranges_of_stock import check_layers
from tfp_nvp.bijectors.bijector import Bijector
from tfp_nvp.bijectors.chain import common_condition_shape, condition_for, initialize_layer
from tfp_nvp.bijectors.stock import as_bijector

tfb = tfp.bijectors


class Multiscale(Bijector):
    """Image bijectors one after the other; half of the channels leave after each but the last.

        h = levels[0]⁻¹(x)
        z₀ = second half of the channels of h,  h = levels[1]⁻¹(first half of the channels of h),  …
        z = z₀, z₁, … and the last h, flattened to one vector [d]

    So the base is one distribution over vectors, and a level costs a quarter of the one before. A level that ends with
    an affine `Coupling` that keeps the first half, as in `flows.Glow`, makes the channels that leave Gaussian given
    those that stay.

    Args:
      levels: bijectors of images, the one next to the data first; ours or TFP's own.
      event_shape: [h, w, c] of x.
      leaving: how many channels, the last ones, leave after each level but the last; by default half of them.

    Raises:
      TypeError: if a level is not a `tfb.Bijector`.
      ValueError: if there is none, or one that is not the last leaves an odd number of channels.

    >>> from tfp_nvp.bijectors import Squeeze
    >>> Multiscale([Squeeze(), Squeeze()], [4, 4, 1]).inverse(tf.ones([2, 4, 4, 1])).shape
    TensorShape([2, 16])

    References: Dinh, Sohl-Dickstein & Bengio (2017), arXiv:1605.08803, section 3.6.
    """

    def __init__(
        self,
        levels: Sequence[tfb.Bijector],
        event_shape: Any,
        *,
        leaving: Sequence[int] | None = None,
        name: str = "multiscale",
    ):
        levels = checks.sequence("levels", levels, tfb.Bijector, "tfb.Bijector")
        if not levels:
            raise ValueError("`levels` must hold at least one bijector.")
        event_shape = checks.image_shape("event_shape", event_shape)
        if leaving is not None:
            if isinstance(leaving, str) or not isinstance(leaving, (Sequence, np.ndarray)) or np.ndim(leaving) != 1:
                raise TypeError(f"`leaving` must be a list of numbers of channels; got {checks.shown(leaving)}.")
            leaving = [checks.integer("leaving", count, 1) for count in leaving]
            if len(leaving) != len(levels) - 1:
                raise ValueError(
                    f"`leaving` must hold a number for each level but the last, {len(levels) - 1}; got {leaving}."
                )
        layers = [as_bijector(level) for level in levels]
        super().__init__(
            min_event_ndims=1,
            inverse_min_event_ndims=3,
            condition_shape=common_condition_shape(layers),
            dtype=next((layer.dtype for layer in layers if layer.dtype is not None), None),
            is_constant_jacobian=all(layer.is_constant_jacobian for layer in layers),
            name=name,
        )
        self._levels = layers
        self._image_shape = self._x_shape = event_shape
        self._z_shape = (math.prod(event_shape),)
        self._leaving = leaving
        self._latent_shapes = self._shapes_of_latents()

    @property
    def levels(self) -> list[Bijector]:
        """The levels, the one next to the data first."""
        return list(self._levels)

    @property
    def data_range(self) -> Range:
        return self._image(WHOLE)

    def _image(self, latents: Range) -> Range:
        h = latents
        for level in reversed(self._levels):
            h = level._image(h.hull(latents))
        return h

    def _check_latents(self, latents: Range, part: bool = False) -> None:
        check_layers(self._levels, latents, part)
        for level in self._levels:  # each gets some latents of the base too
            level._check_latents(latents, part)

    def parts(self) -> list[Bijector]:
        return [layer for level in self._levels for layer in level.parts()]

    def _components(self) -> Iterator[tuple[str, Any]]:
        return ((layer.name, layer) for layer in self.parts())

    @property
    def is_initialized(self) -> bool:
        return all(level.is_initialized for level in self._levels)

    @property
    def saturates(self) -> bool:
        return any(level.saturates for level in self._levels)

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        h = tf.convert_to_tensor(x)
        for i, level in enumerate(self._levels):
            h, _ = self._split(initialize_layer(level, h, condition), i)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        h, latents, total = x, [], tf.zeros([], x.dtype)
        for i, level in enumerate(self._levels):
            h, log_det = level._inverse_step(h, condition_for(level, condition), 3)
            h, latent = self._split(h, i)
            latents.append(latent)
            total = total + log_det
        batch = shapes.batch_shape(latents[-1], 3)
        sizes = [math.prod(shape) for shape in self._latent_shapes]
        flat = [
            shapes.reshape(shapes.broadcast_batch(latent, batch, 3), batch, [size])
            for latent, size in zip(latents, sizes, strict=True)
        ]
        return tf.concat(flat, axis=-1), total

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        batch, total = shapes.batch_shape(z, 1), tf.zeros([], z.dtype)
        flat = tf.split(z, [math.prod(shape) for shape in self._latent_shapes], axis=-1)
        latents = [
            shapes.reshape(vector, batch, shape) for vector, shape in zip(flat, self._latent_shapes, strict=True)
        ]
        h = latents.pop()
        for level in reversed(self._levels):
            h, log_det = level._forward_step(h, condition_for(level, condition), 3)
            total = total + log_det
            if latents:
                h = tf.concat([h, shapes.broadcast_batch(latents.pop(), shapes.batch_shape(h, 3), 3)], axis=-1)
        return h, total

    def _split(self, h: tf.Tensor, level: int) -> tuple[tf.Tensor, tf.Tensor]:
        """The channels for the next level, and those that leave."""
        if level == len(self._levels) - 1:
            return h, h
        stays = h.shape[-1] - self._latent_shapes[level][-1]
        return h[..., :stays], h[..., stays:]

    def _shapes_of_latents(self) -> list[tuple[int, ...]]:
        """The shape of the channels that leave after each level."""
        latent_shapes, shape = [], tf.TensorShape(self._image_shape)
        for i, level in enumerate(self._levels):
            before, shape = shape, level.inverse_event_shape(shape)
            if shape.rank != 3 or shape.num_elements() != before.num_elements():
                raise ValueError(
                    f"Level {i} must map images to images; it maps {shape.as_list()} to {before.as_list()}."
                )
            *sides, channels = shape.as_list()
            if i < len(self._levels) - 1:
                if self._leaving is None and channels % 2:
                    raise ValueError(
                        f"Level {i} must leave an even number of channels to split; it leaves {shape.as_list()}."
                    )
                leaves = channels // 2 if self._leaving is None else self._leaving[i]
                if leaves >= channels:
                    raise ValueError(
                        f"`leaving` must be less than the {channels} channels there are after level {i}; got {leaves}."
                    )
                latent_shapes.append((*sides, leaves))
                shape = tf.TensorShape([*sides, channels - leaves])
            else:
                latent_shapes.append((*sides, channels))
        return latent_shapes

    def _forward_sizes(self, sizes: list) -> list:
        return list(self._image_shape)

    def _inverse_sizes(self, sizes: list) -> list:
        return [math.prod(self._image_shape)]
