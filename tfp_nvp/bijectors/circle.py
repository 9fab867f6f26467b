"""From angles to the units of periodic data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._circle import wrapped
from tfp_nvp.bijectors._range import WHOLE, Range, check_fit
from tfp_nvp.bijectors.bijector import Bijector, Step

#: A period must hold so many numbers of the dtype.
LEAST_NUMBERS = 4096


class Circle(Bijector):
    """Maps angles in radians, [−π, π), onto periodic numbers [low, high), such as hours of a day.

        x = low + (high − low) (z + π) / 2π
        log_det = Σ log ((high − low) / 2π)

    Both directions take every number: values beyond the interval are moved into it by whole periods. x = z in elements
    without bounds.

    Args:
      low, high: [d], both ±inf in elements that are not periodic; low below high.
      dtype: of values; bounds are rounded to it.

    Raises:
      ValueError: if the shapes differ, a low is not below its high, only one is finite, or fewer than 4096 numbers of
        `dtype` lie between them.

    >>> z = Circle([0.0], [24.0]).inverse([[18.0], [42.0]])
    >>> [round(float(angle), 4) for angle in tf.reshape(z, [-1])]
    [1.5708, 1.5708]
    """

    def __init__(self, low: Any, high: Any, *, dtype: Any = "float32", name: str = "circle"):
        low, high = checks.numbers_array("low", low), checks.numbers_array("high", high)
        if low.ndim != 1 or low.shape != high.shape:
            raise ValueError(f"`low` and `high` must be vectors of one shape; got {low} and {high}.")
        periodic = np.isfinite(low)
        if not (low < high).all() or (periodic != np.isfinite(high)).any():
            raise ValueError(
                f"`low` must be below `high` in every element, both finite or neither; got {low} and {high}."
            )
        super().__init__(event_shape=low.shape, dtype=dtype, is_constant_jacobian=True, name=name)
        numpy_dtype = self.dtype.as_numpy_dtype
        low, high = (end.astype(numpy_dtype).astype(np.float64) for end in (low, high))
        self._low, self._high = (np.where(periodic, end, place) for end, place in ((low, -np.pi), (high, np.pi)))
        self._mask, self._period = periodic, self._high - self._low
        spacing = np.spacing(np.maximum(np.abs(self._low), np.abs(self._high)).astype(numpy_dtype))
        narrow = np.flatnonzero(periodic & (self._period < LEAST_NUMBERS * spacing))
        if narrow.size:
            i = narrow[0]
            raise ValueError(
                f"There must be at least {LEAST_NUMBERS} numbers of {self.dtype.name} between `low` and `high`; "
                f"element {i} has {low[i]:.9g} and {high[i]:.9g}. Subtract a constant from the data, or use float64."
            )
        self._log_det = float(np.log(self._period[periodic] / (2.0 * math.pi)).sum())

    @property
    def latent_range(self) -> Range:
        return Range.of_elements(self._mask, Range(-math.pi, math.pi), WHOLE)

    @property
    def data_range(self) -> Range:
        return Range.of_elements(self._mask, Range(self._low[self._mask], self._high[self._mask]), WHOLE)

    def _image(self, latents: Range) -> Range:
        return Range.of_elements(self._mask, self.data_range.take(self._mask), latents)

    def _preimage(self, data: Range) -> Range:
        return Range.of_elements(self._mask, Range(-math.pi, math.pi), data)

    def _check_latents(self, latents: Range, part: bool = False) -> None:
        check_fit(self.name, latents.take(self._mask), Range(-math.pi, math.pi), part)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        angle = wrapped(self._periodic(z), -math.pi, math.pi)
        x = self._constant(self._middle, z) + angle * self._constant(self._unit, z)
        return tf.where(self._mask, wrapped(x, self._low, self._high), z), tf.constant(self._log_det, z.dtype)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        inner = tf.where(self._mask, x, self._constant(self._middle, x))
        turned = (wrapped(inner, self._low, self._high) - self._constant(self._middle, x)) / self._constant(
            self._unit, x
        )
        return tf.where(self._mask, wrapped(turned, -math.pi, math.pi), x), tf.constant(-self._log_det, x.dtype)

    def _periodic(self, z: tf.Tensor) -> tf.Tensor:
        return tf.where(self._mask, z, tf.zeros_like(z))

    @property
    def _middle(self) -> np.ndarray:
        return (self._low + self._high) / 2.0

    @property
    def _unit(self) -> np.ndarray:
        return self._period / (2.0 * math.pi)

    @staticmethod
    def _constant(value: np.ndarray, like: tf.Tensor) -> tf.Tensor:
        return tf.constant(value, like.dtype)
