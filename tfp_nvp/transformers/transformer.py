"""The base class of transformers."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_nvp._captured import Captured


class Transformer(Captured, abc.ABC):
    """An elementwise invertible map x = f(z; raw) with raw numbers as parameters.

    A subclass states `num_parameters`, the count p of raw numbers per element, and
    maps `(value, raw)` to `(value, log_det)` both ways:

        forward(z, raw)  ->  x,  log |dx/dz|
        inverse(x, raw)  ->  z,  log |dz/dx|

    `raw` [p, ...] holds unconstrained real numbers, from a conditioner or from weights: the p numbers of an element
    lie along the first axis, the other axes are the value's or broadcast with them. Zeros should give the identity, so
    that a new flow is close to it. Both log-dets have the value's shape, in nats; nothing is summed.

    A transformer holds no weights. Its constructor's arguments, which are captured, are all its state: two
    transformers of equal arguments are equal.
    """

    #: p, how many raw numbers one element needs.
    num_parameters: int

    @property
    def domain(self) -> tuple[float, float]:
        """Ends (low, high) of the interval that the map takes onto itself: all real numbers, or a circle's."""
        return -math.inf, math.inf

    @abc.abstractmethod
    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """x [...] and log |dx/dz| [...] from z [...] and raw [p, ...]."""

    @abc.abstractmethod
    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """z [...] and log |dz/dx| [...] from x [...] and raw [p, ...]."""

    def check_dtype(self, dtype: tf.DType) -> None:
        """Raises a ValueError if values of this dtype can't carry the map. Layers ask when they are made."""

    def is_increasing(self, raw: tf.Tensor) -> tf.Tensor:
        """Whether the map increases: raw [p, ...] → [...]. It is monotone, so two points suffice."""
        raw = tf.convert_to_tensor(raw)
        low, high = (self.forward(tf.fill(tf.shape(raw)[1:], tf.cast(z, raw.dtype)), raw)[0] for z in (-0.5, 0.5))
        return low < high

    def keeps(self, low: Any, high: Any) -> bool:
        """Whether the map takes the numbers from `low` to `high` onto themselves, whatever the raw numbers are."""
        return False

    def in_layers(self) -> Any:
        """The transformer for layers that evaluate it once: itself, or one whose graph all layers share."""
        return self

    def _broadcast(self, value: Any, raw: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """`value` [...] and `raw` [p, ...] as tensors at their common shape."""
        value = tf.convert_to_tensor(value)
        raw = tf.convert_to_tensor(raw, value.dtype)
        p = self.num_parameters
        if raw.shape[0] != p:
            raise ValueError(f"`raw` must have {p} numbers on its first axis; got shape {raw.shape}.")
        if raw.shape.rank == value.shape.rank + 1 and raw.shape[1:].is_compatible_with(value.shape):
            return value, raw
        missing = value.shape.rank + 1 - raw.shape.rank
        raw = tf.reshape(raw, tf.concat([[p], [1] * missing, tf.shape(raw)[1:]], axis=0))
        known = tf.broadcast_static_shape(value.shape, raw.shape[1:])
        shape = tf.broadcast_dynamic_shape(tf.shape(value), tf.shape(raw)[1:])
        value, raw = tf.broadcast_to(value, shape), tf.broadcast_to(raw, tf.concat([[p], shape], axis=0))
        value.set_shape(known)
        raw.set_shape([p, *known])
        return value, raw

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, from which an equal transformer is made."""
        return self.parameters

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Transformer:
        """The transformer of `get_config`."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(self.get_config().items(), key=lambda item: item[0]))))


#: Rows of fewer elements do not fill the registers of a processor.
_SHORT = 16


def flattening_short_rows(transform: Callable) -> Callable:
    """Decorates `forward` or `inverse` of a transformer of many operations: short rows are flattened to one vector.

    A loop over a last axis of a few elements is not vectorized: flattened, splines of two to eleven elements run up to
    twice as fast. Maps of few operations, such as affine ones, would be a fifth slower.
    """

    @functools.wraps(transform)
    def flattened(self: Transformer, value: Any, raw: Any) -> tuple[tf.Tensor, tf.Tensor]:
        direct = functools.partial(transform, self)
        return on_vectors(self, value, raw, direct, direct)

    return flattened


def on_vectors(
    transformer: Transformer, value: Any, raw: Any, of_vectors: Callable, of_rows: Callable
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies `of_vectors` to short rows, flattened to one vector, and `of_rows` to others."""
    value, raw = transformer._broadcast(value, raw)
    if value.shape.rank < 2 or value.shape[-1] is None or value.shape[-1] >= _SHORT:
        return of_rows(value, raw)
    result, log_det = of_vectors(tf.reshape(value, [-1]), tf.reshape(raw, [transformer.num_parameters, -1]))
    return _with_shape(result, value), _with_shape(log_det, value)


def _with_shape(result: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.reshape(result, tf.shape(value)), value.shape)
