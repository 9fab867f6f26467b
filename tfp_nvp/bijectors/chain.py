"""The composition of bijectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._finite import with_held_gradient
from tfp_nvp._watch import report_step
from tfp_nvp.bijectors._range import WHOLE, Range
from tfp_nvp.bijectors._ranges_of_stock import check_layers
from tfp_nvp.bijectors.bijector import Bijector, Step
from tfp_nvp.bijectors.stock import as_bijector

tfb = tfp.bijectors

#: Sizes of an event; None for one that is not known.
Sizes: TypeAlias = tuple[int | None, ...]


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
        layers = [as_bijector(b) for b in checks.sequence("bijectors", bijectors, tfb.Bijector, "tfb.Bijector")]
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

    @property
    def latent_range(self) -> Range:
        return self._preimage(WHOLE)

    @property
    def data_range(self) -> Range:
        return self._image(WHOLE)

    @property
    def _is_exact(self) -> bool:
        return all(layer._is_exact or layer._is_permutation for layer in self._bijectors)

    def _image(self, latents: Range) -> Range:
        for layer in reversed(self._bijectors):
            latents = layer._image(latents)
        return latents

    def _preimage(self, data: Range) -> Range:
        for layer in self._bijectors:
            data = layer._preimage(data)
        return data

    def _check_latents(self, latents: Range, part: bool = False) -> None:
        check_layers(self._bijectors, latents, part)

    def parts(self) -> list[Bijector]:
        return [sublayer for layer in self._bijectors for sublayer in layer.parts()]

    @property
    def is_initialized(self) -> bool:
        return all(layer.is_initialized for layer in self._bijectors)

    @property
    def saturates(self) -> bool:
        return any(layer.saturates for layer in self._bijectors)

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        for layer in self._bijectors:
            x = initialize_layer(layer, x, condition)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> Step:
        event_ndims, total = self.forward_min_event_ndims, tf.zeros([], z.dtype)
        for layer in reversed(self._bijectors):
            with tf.name_scope(layer.name):
                z, log_det = layer._forward_step(z, condition_for(layer, condition), event_ndims)
            report_step(layer, z, log_det)
            z = with_held_gradient(z)
            event_ndims += layer.inverse_min_event_ndims - layer.forward_min_event_ndims
            total = total + log_det
        return z, total

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> Step:
        event_ndims, total = self.inverse_min_event_ndims, tf.zeros([], x.dtype)
        for layer in self._bijectors:
            with tf.name_scope(layer.name):
                x, log_det = layer._inverse_step(x, condition_for(layer, condition), event_ndims)
            report_step(layer, x, log_det)
            x = with_held_gradient(x)
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


def _end_shapes(layers: Sequence[Bijector]) -> tuple[Sizes | None, Sizes | None]:
    """The event shapes of z and x, where layers fix them, with None for a size that none fixes.

    Raises:
      ValueError: if two layers fix shapes that don't fit.
    """
    x_shape: Any = None
    for layer in reversed(layers):
        z_shape = _merged(layer, layer._z_shape, x_shape)
        x_shape = None if z_shape is None else _sizes(layer.forward_event_shape(z_shape))
    z_shape = x_shape
    for layer in layers:
        z_shape = None if z_shape is None else _sizes(layer.inverse_event_shape(z_shape))
    return z_shape, x_shape


def _merged(layer: Bijector, taken: Sizes | None, given: Sizes | None) -> Sizes | None:
    """What is known of an event from the shape that a layer takes, of its last dimensions, and that it is given."""
    if taken is None or given is None:
        return given if taken is None else taken
    size = max(len(taken), len(given))
    taken_shape, given_shape = (tf.TensorShape([None] * (size - len(known)) + [*known]) for known in (taken, given))
    if not taken_shape.is_compatible_with(given_shape):
        raise ValueError(
            f"`bijectors` must fit: {layer.name} takes events of shape {list(taken)}, and gets {list(given)}."
        )
    return _sizes(taken_shape.merge_with(given_shape))


def _sizes(shape: tf.TensorShape) -> Sizes | None:
    return None if shape.rank is None else tuple(shape.as_list())


def common_condition_shape(layers: Sequence[Bijector]) -> tuple[int, ...] | None:
    """The one condition shape of all layers that take a condition; None if none does."""
    wanted = {layer.condition_shape for layer in layers} - {None}
    if len(wanted) > 1:
        raise ValueError(
            f"`bijectors` must agree on one condition shape; they want {sorted(wanted)}."  # type: ignore[type-var]
        )
    return next(iter(wanted), None)
