"""The composition of bijectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp._watch import report_step
from tfp_nvp.bijectors.bijector import Bijector, Step
from tfp_nvp.bijectors.stock import as_bijector

tfb = tfp.bijectors


class Chain(Bijector):
    """A composition, evaluated in one pass: `forward` applies the last bijector first.

        x = b₁(b₂(… bₙ(z))),    log_det = Σ log |det ∂bᵢ|

    So the first bijector of the list is the one next to the data, as in `tfb.Chain`.
    The condition goes to every bijector that has a `condition_shape`.

    Args:
      bijectors: ours or TFP's own; stock ones must have no keyword arguments of their own.

    Raises:
      TypeError: if one is not a `tfb.Bijector`.
      ValueError: if two want conditions of different shapes.

    >>> chain = Chain([tfb.Shift(1.0), tfb.Scale(2.0)])
    >>> x, log_det = chain.forward_and_log_det(tf.constant([3.0]), event_ndims=1)
    >>> float(x[0]), round(float(log_det), 4)
    (7.0, 0.6931)
    """

    def __init__(self, bijectors: Sequence[tfb.Bijector], *, name: str = "chain"):
        if isinstance(bijectors, tfb.Bijector) or not all(isinstance(b, tfb.Bijector) for b in bijectors):
            raise TypeError(f"`bijectors` must be a list of tfb.Bijector; got {bijectors!r}.")
        layers = [as_bijector(b) for b in bijectors]
        forward_ndims, inverse_ndims = _min_event_ndims(layers)
        super().__init__(
            min_event_ndims=forward_ndims,
            inverse_min_event_ndims=inverse_ndims,
            condition_shape=common_condition_shape(layers),
            dtype=next((layer.dtype for layer in layers if layer.dtype is not None), None),
            is_constant_jacobian=all(layer.is_constant_jacobian for layer in layers),
            name=name,
        )
        self._bijectors = layers
        self._z_shape, self._x_shape = _end_shapes(layers)

    @property
    def bijectors(self) -> list[Bijector]:
        """The bijectors, the one next to the data first."""
        return list(self._bijectors)

    def parts(self) -> list[Bijector]:
        return [sublayer for layer in self._bijectors for sublayer in layer.parts()]

    @property
    def is_initialized(self) -> bool:
        return all(layer.is_initialized for layer in self._bijectors)

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        for layer in self._bijectors:
            x = initialize_layer(layer, x, condition)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        event_ndims, total = self.forward_min_event_ndims, tf.zeros([], z.dtype)
        for layer in reversed(self._bijectors):
            with tf.name_scope(layer.name):
                z, log_det = layer._forward_step(z, condition_for(layer, condition), event_ndims)
            report_step(layer, z, log_det)
            event_ndims += layer.inverse_min_event_ndims - layer.forward_min_event_ndims
            total = total + log_det
        return z, total

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        event_ndims, total = self.inverse_min_event_ndims, tf.zeros([], x.dtype)
        for layer in self._bijectors:
            with tf.name_scope(layer.name):
                x, log_det = layer._inverse_step(x, condition_for(layer, condition), event_ndims)
            report_step(layer, x, log_det)
            event_ndims += layer.forward_min_event_ndims - layer.inverse_min_event_ndims
            total = total + log_det
        return x, total

    def _components(self) -> Iterator[tuple[str, Any]]:
        return ((layer.name, layer) for layer in self.parts())

    def is_same_map(self, other: Bijector) -> bool:
        if not isinstance(other, Chain) or len(other.bijectors) != len(self.bijectors):
            return False
        return all(a.is_same_map(b) for a, b in zip(self.bijectors, other.bijectors, strict=True))

    def _is_increasing(self, **kwargs: Any) -> Any:
        increasing = tf.constant(True)
        for layer in self._bijectors:
            increasing = tf.equal(increasing, layer._internal_is_increasing())
        return increasing

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        for layer in reversed(self._bijectors):
            shape = layer.forward_event_shape(shape)
        return shape

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        for layer in self._bijectors:
            shape = layer.inverse_event_shape(shape)
        return shape

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        for layer in reversed(self._bijectors):
            shape = layer.forward_event_shape_tensor(shape)
        return shape

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        for layer in self._bijectors:
            shape = layer.inverse_event_shape_tensor(shape)
        return shape

    def _batch_shape(self, x_event_ndims: int) -> tf.TensorShape:
        batch = tf.TensorShape([])
        for layer in reversed(self._bijectors):
            batch = tf.broadcast_static_shape(batch, layer.experimental_batch_shape(x_event_ndims=x_event_ndims))
            x_event_ndims = layer.forward_event_ndims(x_event_ndims)
        return batch

    def _batch_shape_tensor(self, x_event_ndims: int) -> tf.Tensor:
        batch = tf.zeros([0], tf.int32)
        for layer in reversed(self._bijectors):
            batch = tf.broadcast_dynamic_shape(batch, layer.experimental_batch_shape_tensor(x_event_ndims))
            x_event_ndims = layer.forward_event_ndims(x_event_ndims)
        return batch


def condition_for(layer: Bijector, condition: tf.Tensor | None) -> tf.Tensor | None:
    """The condition, for a layer of a composition that takes one."""
    return None if layer.condition_shape is None else condition


def initialize_layer(layer: Bijector, x: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
    """Initializes one layer of a composition from a batch x, and returns the batch of z."""
    condition = condition_for(layer, condition)
    layer.initialize(x, condition)
    return layer._inverse_and_log_det(x, condition)[0]


def _min_event_ndims(layers: Sequence[Bijector]) -> tuple[int, int]:
    """The least ranks of an event of z and of x that every layer can take."""
    change, needed = 0, 0
    for layer in reversed(layers):
        needed = max(needed, layer.forward_min_event_ndims - change)
        change += layer.inverse_min_event_ndims - layer.forward_min_event_ndims
    return needed, needed + change


def _end_shapes(layers: Sequence[Bijector]) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """The event shapes of z and x, where a layer fixes them.

    Raises:
      ValueError: if two layers fix shapes that don't fit.
    """
    x_shape: Any = None
    for layer in reversed(layers):
        z_shape = layer._z_shape
        if z_shape is not None and x_shape is not None and z_shape != x_shape[-len(z_shape) :]:
            if x_shape != z_shape[-len(x_shape) :]:
                raise ValueError(
                    f"`bijectors` must fit: {layer.name} takes events of shape {list(z_shape)}, "
                    f"and gets {list(x_shape)}."
                )
            x_shape = None  # this layer fixes more dimensions
        z_shape = x_shape if x_shape is not None else z_shape
        x_shape = None if z_shape is None else _sizes(layer.forward_event_shape(z_shape))
    z_shape = x_shape
    for layer in layers:
        z_shape = None if z_shape is None else _sizes(layer.inverse_event_shape(z_shape))
    return z_shape, x_shape


def _sizes(shape: tf.TensorShape) -> tuple[int, ...] | None:
    return tuple(shape.as_list()) if shape.rank is not None and shape.is_fully_defined() else None


def common_condition_shape(layers: Sequence[Bijector]) -> tuple[int, ...] | None:
    """The one condition shape of all layers that take a condition; None if none does."""
    wanted = {layer.condition_shape for layer in layers} - {None}
    if len(wanted) > 1:
        raise ValueError(
            f"`bijectors` must agree on one condition shape; they want {sorted(wanted)}."  # type: ignore[type-var]
        )
    return next(iter(wanted), None)
