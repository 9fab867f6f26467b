"""Coupling: the map of one part of the event depends on the other part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks, shapes
from tfp_nvp.bijectors._network import connect, raw_numbers
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
      mask: boolean array of the event's shape, `True` where the event is kept. With a
        condition it may keep nothing: the raw numbers then come from the condition alone.
      condition_shape: shape of the condition, or None.
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
        condition_shape: Any = None,
        dtype: Any = "float32",
        name: str = "coupling",
    ):
        checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.Affine()")
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.ndim == 0:
            raise TypeError(
                f"`mask` must be a boolean array of the event's shape; got {mask.dtype} of shape {mask.shape}."
            )
        if mask.all() or (condition_shape is None and not mask.any()):
            raise ValueError(
                "`mask` must keep some elements (True) and leave others to transform (False); "
                "only with a `condition_shape` may it keep none."
            )
        super().__init__(event_shape=mask.shape, condition_shape=condition_shape, dtype=dtype, name=name)
        self.transformer = transformer
        self._map = transformer.in_layers()
        self._parts = _Split(mask) if (mask == mask.reshape(-1, mask.shape[-1])[0]).all() else _Masked(mask)
        num_outputs = transformer.num_parameters * self._parts.rest_shape[-1]
        self.conditioner = connect(conditioner, self._parts.kept_shape, self.condition_shape, num_outputs, self.dtype)

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


class _Split:
    """The two parts as slices of the last axis, for a mask that varies along that axis only."""

    def __init__(self, mask: np.ndarray):
        row = mask.reshape(-1, mask.shape[-1])[0]
        self._kept, self._rest = np.flatnonzero(row), np.flatnonzero(~row)
        self._order = np.argsort(np.concatenate([self._kept, self._rest]))
        self._kept_first = bool((np.diff(np.concatenate([self._kept, self._rest])) == 1).all())
        self._rest_first = bool((np.diff(np.concatenate([self._rest, self._kept])) == 1).all())
        self.event_ndims = mask.ndim
        self.kept_shape = (*mask.shape[:-1], len(self._kept))
        self.rest_shape = (*mask.shape[:-1], len(self._rest))

    def split(self, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self._rest_first:  # both parts by one operation
            rest, kept = tf.split(value, [len(self._rest), len(self._kept)], axis=-1)
            return kept, rest
        if self._kept_first:
            kept, rest = tf.split(value, [len(self._kept), len(self._rest)], axis=-1)
            return kept, rest
        return _take(value, self._kept), _take(value, self._rest)

    def merge(self, kept: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
        if self._rest_first:
            return tf.concat([rest, kept], axis=-1)
        return _take(tf.concat([kept, rest], axis=-1), self._order)

    def sum(self, log_det: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(log_det, axis=list(range(-self.event_ndims, 0)))


class _Masked:
    """The two parts as the whole event each, for a mask of any pattern."""

    def __init__(self, mask: np.ndarray):
        self._mask = mask
        self.event_ndims = mask.ndim
        self.kept_shape = self.rest_shape = mask.shape

    def split(self, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.where(self._mask, value, tf.zeros_like(value)), value

    def merge(self, kept: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
        return tf.where(self._mask, kept, rest)

    def sum(self, log_det: tf.Tensor) -> tf.Tensor:
        axes = list(range(-self.event_ndims, 0))
        return tf.reduce_sum(tf.where(self._mask, tf.zeros_like(log_det), log_det), axis=axes)


def _take(value: tf.Tensor, indices: np.ndarray) -> tf.Tensor:
    """`value[..., indices]`: a slice, which is free, where the indices are consecutive, else gathered."""
    if not len(indices):
        return value[..., :0]
    first, last = int(indices[0]), int(indices[-1])
    if (indices == np.arange(first, first + len(indices))).all():
        return value[..., first : last + 1]
    return tf.gather(value, indices, axis=-1)
