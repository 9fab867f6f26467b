"""A bijector of some elements of a vector."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, shapes
from tfp_nvp.bijectors._range import WHOLE, Range
from tfp_nvp.bijectors._ranges_of_stock import check_latents, image, preimage
from tfp_nvp.bijectors._split import Split
from tfp_nvp.bijectors.bijector import Bijector, Step
from tfp_nvp.bijectors.stock import as_bijector


class Subvector(Bijector):
    """A bijector of the elements of a mask; the others stay as they are.

        x_mask = g(z_mask; condition),    x_rest = z_rest
        log_det = log |det ∂g/∂z_mask|

    So layers that move all real numbers, such as `ActNorm` or `InvertibleLinear`, go around angles.

    Args:
      bijector: g, ours or one of TFP's own, of events [m] or of numbers.
      mask: boolean [d], `True` (or 1) for the m elements that g maps.

    Raises:
      TypeError, ValueError: if the mask is no vector of booleans or takes no element, or g does not map [m] to [m].

    >>> scaled = Subvector(tfp.bijectors.Scale(2.0), [True, False, True])
    >>> scaled.forward([1.0, 1.0, 1.0]).numpy().tolist()
    [2.0, 1.0, 2.0]
    """

    def __init__(self, bijector: tfp.bijectors.Bijector, mask: Any, *, name: str | None = None):
        mask = checks.mask("mask", mask, 1)
        if not isinstance(bijector, tfp.bijectors.Bijector):
            raise TypeError(f"`bijector` must be a tfb.Bijector; got {bijector!r}.")
        bijector, size = as_bijector(bijector), int(mask.sum())
        if not size:
            raise ValueError("`mask` must take some elements (True); it takes none.")
        ranks = bijector.forward_min_event_ndims, bijector.inverse_min_event_ndims
        own = bijector._z_shape, bijector._x_shape
        if max(ranks) > 1 or ranks[0] != ranks[1] or any(shape not in (None, (), (None,), (size,)) for shape in own):
            raise ValueError(
                f"`bijector` must map events [{size}], of the elements that `mask` takes, onto such; {bijector.name} "
                f"maps events of rank {ranks[0]} and shape {own[0]} onto rank {ranks[1]} and shape {own[1]}."
            )
        super().__init__(
            event_shape=mask.shape,
            condition_shape=bijector.condition_shape,
            dtype=bijector.dtype,
            name=name or f"some_{bijector.name}",
        )
        self._bijector, self._mask = bijector, mask
        self._parts = Split(~mask, mask.shape)

    @property
    def bijector(self) -> Bijector:
        """The bijector of the elements of the mask."""
        return self._bijector

    @property
    def latent_range(self) -> Range:
        return self._preimage(WHOLE)

    @property
    def data_range(self) -> Range:
        return self._image(WHOLE)

    @property
    def is_initialized(self) -> bool:
        return self._bijector.is_initialized

    @property
    def saturates(self) -> bool:
        return self._bijector.saturates

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        self._bijector.initialize(self._parts.split(x)[1], condition)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        return self._apply(self._bijector._forward_step, z, condition)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        return self._apply(self._bijector._inverse_step, x, condition)

    def _apply(self, step: Any, value: tf.Tensor, condition: Any) -> Step:
        rest, some = self._parts.split(value)
        some, log_det = step(some, condition, 1)
        if condition is not None:  # it may have added to the batch shape
            rest = shapes.broadcast_batch(rest, shapes.batch_shape(some, 1), 1)
        return self._parts.merge(rest, some), log_det

    @property
    def _is_exact(self) -> bool:
        return self._bijector._is_exact

    def _image(self, latents: Range) -> Range:
        return Range.of_elements(self._mask, image(self._bijector, latents.take(self._mask)), latents)

    def _preimage(self, data: Range) -> Range:
        return Range.of_elements(self._mask, preimage(self._bijector, data.take(self._mask)), data)

    def _check_latents(self, latents: Range, part: bool = False) -> None:
        check_latents(self._bijector, latents.take(self._mask), part)
