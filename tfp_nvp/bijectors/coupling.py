"""Coupling: the map of one part of the event depends on the other part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks, shapes
from tfp_nvp.bijectors._network import connect, raw_numbers
from tfp_nvp.bijectors._range import WHOLE, Range
from tfp_nvp.bijectors._split import Split
from tfp_nvp.bijectors.bijector import Bijector, Step
from tfp_nvp.transformers import Transformer


class Coupling(Bijector):
    """A transformer on one part of an event, its raw numbers from the other part.

        raw = conditioner(x_kept, condition)
        x_kept = z_kept,    x_rest = f(z_rest; raw)
        log_det = Σ_rest log |df/dz|

    Both directions cost one evaluation of the conditioner.

    Args:
      transformer: f.
      conditioner: a built or unbuilt Keras layer. It is given the kept elements [n, k] and returns [n, p · m], the p =
        `transformer.num_parameters` raw numbers of the m others: all first numbers, then all second ones. One of
        `conditioners` is given p · m. For images with a mask over the last axis only, [n, h, w, k] → [n, h, w, p · m];
        with a mask that varies over h and w, the whole event with zeros in place of the rest, [n, h, w, c] →
        [n, h, w, p · c].
      mask: boolean array of the event's shape, `True` (or 1) where the event is kept, `False` (or 0) where it is
        transformed. With a condition it may keep nothing: the raw numbers then come from the condition alone.
      event_shape: of the events, to which the mask is broadcast; None for the mask's shape. With a mask over the last
        axis the other sizes may be None, for images of any height and width: `masks.half(c)` and [None, None, c].
      condition_shape: shape of the condition, or None; of images of any size, a vector's or a number's.
      dtype: of values.

    Raises:
      TypeError, ValueError: if the mask keeps all or nothing, or a conditioner's output does not fit.

    >>> from tfp_nvp import conditioners, masks, transformers
    >>> coupling = Coupling(transformers.Affine(), conditioners.MLP(), masks.half(4))
    >>> coupling.forward(tf.ones([3, 4])).shape
    TensorShape([3, 4])

    References: Dinh, Krueger & Bengio (2015), arXiv:1410.8516, section 3.2; Dinh,
    Sohl-Dickstein & Bengio (2017), arXiv:1605.08803, equations 4 to 9.
    """

    def __init__(
        self,
        transformer: Transformer,
        conditioner: keras.layers.Layer,
        mask: Any,
        *,
        event_shape: Any = None,
        condition_shape: Any = None,
        dtype: Any = "float32",
        name: str = "coupling",
    ):
        checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.Affine()")
        mask = checks.mask("mask", mask, of=", of the event's shape")
        if mask.all() or (condition_shape is None and not mask.any()):
            raise ValueError(
                "`mask` must keep some elements (True) and leave others to transform (False); "
                "only with a `condition_shape` may it keep none."
            )
        event_shape = mask.shape if event_shape is None else checks.shape("event_shape", event_shape, partial=True)
        mask = _broadcast(mask, event_shape)
        super().__init__(event_shape=event_shape, condition_shape=condition_shape, dtype=dtype, name=name)
        transformer.check_dtype(self.dtype)
        self.transformer = transformer
        self._map = transformer.in_layers()
        self._mask = mask
        row = mask.reshape(-1, mask.shape[-1])[0]
        self._parts = Split(row, event_shape) if (mask == row).all() else _Masked(mask)
        num_outputs = transformer.num_parameters * self._parts.rest_shape[-1]
        self.conditioner = connect(conditioner, self._parts.kept_shape, self.condition_shape, num_outputs, self.dtype)

    @property
    def latent_range(self) -> Range:
        return Range.of_elements(~self._mask, Range(*self.transformer.domain), WHOLE)

    @property
    def data_range(self) -> Range:
        return self.latent_range

    def _keeps(self, values: Range) -> bool:
        rest = values.take(~self._mask)
        return rest.equals(Range(*self.transformer.domain)) or self.transformer.keeps(*rest)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        return self._apply(self._map.forward, z, condition)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        return self._apply(self._map.inverse, x, condition)

    def _apply(self, transform: Callable, value: tf.Tensor, condition: Any) -> Step:
        kept, rest = self._parts.split(value)
        raw = raw_numbers(
            self.conditioner,
            kept,
            condition,
            event_ndims=self.forward_min_event_ndims,
            condition_ndims=self.condition_ndims,
            num_parameters=self.transformer.num_parameters,
        )
        result, log_det = transform(rest, raw)
        if condition is not None:  # it may have added to the batch shape
            kept = shapes.broadcast_batch(
                kept, shapes.batch_shape(result, self.forward_min_event_ndims), self.forward_min_event_ndims
            )
        return self._parts.merge(kept, result), self._parts.sum(log_det)


def _broadcast(mask: np.ndarray, event_shape: Sequence[Any]) -> np.ndarray:
    """The mask of a whole event; of its last axis alone where the sizes of others are not known."""
    is_known = None not in event_shape
    if not is_known and any(size != 1 for size in mask.shape[:-1]):
        raise ValueError(
            f"`mask` must vary along the last axis only where `event_shape` has sizes of None; got the shape "
            f"{list(mask.shape)} and {list(event_shape)}."
        )
    wanted = tuple(event_shape) if is_known else event_shape[-1:]
    mask = mask if is_known else mask.reshape(-1)
    try:
        return np.broadcast_to(mask, wanted)
    except (TypeError, ValueError):
        raise ValueError(
            f"`event_shape` must be one to which the mask of shape {list(mask.shape)} broadcasts; "
            f"got {list(event_shape)}."
        ) from None


class _Masked:
    """The two parts as the whole event each, for a mask of any pattern."""

    def __init__(self, mask: np.ndarray):
        self._mask = mask
        self.event_ndims = mask.ndim
        self.kept_shape: tuple[Any, ...] = mask.shape
        self.rest_shape: tuple[Any, ...] = mask.shape

    def split(self, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.where(self._mask, value, tf.zeros_like(value)), value

    def merge(self, kept: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
        return tf.where(self._mask, kept, rest)

    def sum(self, log_det: tf.Tensor) -> tf.Tensor:
        axes = list(range(-self.event_ndims, 0))
        return tf.reduce_sum(tf.where(self._mask, tf.zeros_like(log_det), log_det), axis=axes)
