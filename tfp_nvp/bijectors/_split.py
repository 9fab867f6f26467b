"""An event as two parts of its elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


class Split:
    """The two parts as slices of the last axis, for a mask that varies along that axis only.

    Args:
      row: booleans [c], the elements of the last axis that are kept.
      event_shape: [..., c], of which sizes before the last may be None.
    """

    def __init__(self, row: np.ndarray, event_shape: Sequence[int | None]):
        self._kept, self._rest = np.flatnonzero(row), np.flatnonzero(~row)
        self._order = np.argsort(np.concatenate([self._kept, self._rest]))
        self._kept_first = bool((np.diff(np.concatenate([self._kept, self._rest])) == 1).all())
        self._rest_first = bool((np.diff(np.concatenate([self._rest, self._kept])) == 1).all())
        self.event_ndims = len(event_shape)
        self.kept_shape: tuple[Any, ...] = (*event_shape[:-1], len(self._kept))
        self.rest_shape: tuple[Any, ...] = (*event_shape[:-1], len(self._rest))

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


def _take(value: tf.Tensor, indices: np.ndarray) -> tf.Tensor:
    """`value[..., indices]`: a slice, which is free, where the indices are consecutive, else gathered."""
    if not len(indices):
        return value[..., :0]
    first, last = int(indices[0]), int(indices[-1])
    if (indices == np.arange(first, first + len(indices))).all():
        return value[..., first : last + 1]
    return tf.gather(value, indices, axis=-1)
