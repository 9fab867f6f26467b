"""The base class: TFP's whole bijector API from two methods of one pass each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, shapes
from tfp_nvp._estimates import values_alone
from tfp_nvp._module import Module, floating_dtype
from tfp_nvp.bijectors._range import WHOLE, Range, check_fit, mapped_by

tfb = tfp.bijectors

#: A value and the log-det of the map that gave it.
Step: TypeAlias = tuple[tf.Tensor, tf.Tensor]


class Bijector(Module, tfb.Bijector):
    """An invertible layer: `forward` maps latent z to data x, `inverse` maps x to z.

    A subclass writes two methods, each of which evaluates its network once:

        _forward_and_log_det(z, condition)  ->  x [..., *event],  log |det ∂x/∂z|
        _inverse_and_log_det(x, condition)  ->  z [..., *event],  log |det ∂z/∂x|

    The log-det is in nats, one value per event of rank `forward_min_event_ndims` (`inverse_min_event_ndims`), or
    anything that broadcasts to that. From these two come TFP's `forward`, `inverse`, both log-det-Jacobians with TFP's
    rules for `event_ndims`, and `forward_and_log_det` and `inverse_and_log_det`, which return both results of one
    pass. A layer that changes the shape of an event writes `_forward_sizes` and `_inverse_sizes` too.

    Weights are `tf.Variable`s and Keras layers, held as attributes. The constructor's arguments are captured.

    A layer whose result depends on side information has a `condition_shape`; it must
    then be given `condition=` [..., *condition_shape], whose batch dimensions broadcast
    with the value's. A layer without one refuses a condition.

    A layer that maps other latents than all real numbers, or reaches other data, says so by `latent_range` and
    `data_range`; a `Flow` refuses a base of other values, `Dequantized` a flow that leaves [0, 1].

    Nothing is cached between calls: results are always those of the current weights.
    Two bijectors are equal only if they are the same object. `copy()` shares weights.

    Args:
      event_shape: the last dimensions of values, if the layer fixes and checks them, or None.
      min_event_ndims: rank of an event, of z; by default of `event_shape`. TFP's `forward_min_event_ndims` is the
        same.
      inverse_min_event_ndims: rank of an event of x, where it differs.
      condition_shape: shape of one condition, or None.
      dtype: of values, or None for any.
      is_constant_jacobian: whether the log-det is the same for all values.
      name: name of its ops and layer.

    >>> class Doubled(Bijector):
    ...     def __init__(self):
    ...         super().__init__(min_event_ndims=0)
    ...     def _forward_and_log_det(self, z, condition):
    ...         return 2.0 * z, tf.math.log(2.0)
    ...     def _inverse_and_log_det(self, x, condition):
    ...         return x / 2.0, -tf.math.log(2.0)
    >>> float(Doubled().inverse_log_det_jacobian([3.0, 4.0], event_ndims=1)) == -2 * float(tf.math.log(2.0))
    True
    """

    def __init__(
        self,
        *,
        event_shape: Sequence[int | None] | None = None,
        min_event_ndims: int | None = None,
        forward_min_event_ndims: int | None = None,
        inverse_min_event_ndims: int | None = None,
        condition_shape: Sequence[int] | None = None,
        dtype: Any = None,
        is_constant_jacobian: bool = False,
        parameters: Any = None,
        name: str | None = None,
    ):
        event_shape = None if event_shape is None else checks.shape("event_shape", event_shape, partial=True)
        ranks = [
            rank for rank in (min_event_ndims, forward_min_event_ndims, inverse_min_event_ndims) if rank is not None
        ]
        if event_shape is not None:
            ranks.append(len(event_shape))
        if not ranks:
            raise ValueError("Give a bijector either `event_shape` or `min_event_ndims`.")
        dtype = None if dtype is None else floating_dtype("dtype", dtype)
        Module.__init__(self, name, dtype)
        tfb.Bijector.__init__(
            self,
            forward_min_event_ndims=ranks[0],
            inverse_min_event_ndims=ranks[0] if inverse_min_event_ndims is None else inverse_min_event_ndims,
            is_constant_jacobian=is_constant_jacobian,
            dtype=dtype,
            name=name,
        )
        # Event shapes, where they are fixed; with None for sizes that are not.
        self._z_shape: tuple[Any, ...] | None = event_shape
        self._x_shape: tuple[Any, ...] | None = event_shape
        self._condition_shape = None if condition_shape is None else checks.shape("condition_shape", condition_shape)

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        """Shape of one condition; None for a layer that takes none."""
        return self._condition_shape

    @property
    def condition_ndims(self) -> int:
        """Rank of one condition; 0 for a layer that takes none."""
        return len(self.condition_shape or ())

    @property
    def is_initialized(self) -> bool:
        """Whether every data-dependent layer has been initialized."""
        return True

    @property
    def latent_range(self) -> Range:
        """Bounds (low, high), numbers or arrays [*event], of the latents that `forward` maps; by default none."""
        return WHOLE

    @property
    def data_range(self) -> Range:
        """Bounds (low, high), numbers or arrays [*event], of the data that `forward` reaches; by default none."""
        return WHOLE

    @property
    def saturates(self) -> bool:
        """Whether all latents beyond a limit have one image, so that only x tells the density of such a sample."""
        return False

    @property
    def has_exact_log_det(self) -> bool:
        """Whether log-dets are exact, of all layers within too, or else estimates of random numbers."""
        within = [layer for layer in self._flatten_layers(include_self=False) if isinstance(layer, Bijector)]
        return all(layer.has_exact_log_det for layer in within)

    @property
    def accuracy(self) -> float:
        """How far values and log-dets may be from exact ones besides rounding, relative to 1 + |value|; mostly 0."""
        within = [layer for layer in self._flatten_layers(include_self=False) if isinstance(layer, Bijector)]
        return max((layer.accuracy for layer in within), default=0.0)

    def parts(self) -> list[Bijector]:
        """The layers of a composition, the one next to the data first; else the bijector itself."""
        return [self]

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        """Sets data-dependent weights from a batch x [n, *event]. Most layers have none."""

    def forward_and_log_det(self, z: Any, condition: Any = None, event_ndims: int | None = None) -> Step:
        """x = forward(z) and log |det ∂x/∂z|, from one evaluation.

        Args:
          z: [..., *event].
          condition: [..., *condition_shape], or None.
          event_ndims: rank of the events; the log-det is summed over those dimensions. At
            least, and by default, `forward_min_event_ndims`.

        Returns:
          x [..., *event] and log_det [...], in nats.

        Raises:
          ValueError: for a missing or unexpected condition, or a wrong shape.
        """
        with tf.name_scope(f"{self.name}/forward_and_log_det"):
            z = self._check_event("z", z)
            ndims = self._event_ndims(event_ndims, self.forward_min_event_ndims, z)
            x, log_det = self._forward_step(z, self._check_condition(condition), ndims)
            return x, as_batch(log_det, x, ndims + self.inverse_min_event_ndims - self.forward_min_event_ndims)

    def inverse_and_log_det(self, x: Any, condition: Any = None, event_ndims: int | None = None) -> Step:
        """z = inverse(x) and log |det ∂z/∂x|, from one evaluation.

        Arguments, results and errors are as for `forward_and_log_det`.
        """
        with tf.name_scope(f"{self.name}/inverse_and_log_det"):
            x = self._check_event("x", x)
            ndims = self._event_ndims(event_ndims, self.inverse_min_event_ndims, x)
            z, log_det = self._inverse_step(x, self._check_condition(condition), ndims)
            return z, as_batch(log_det, z, ndims + self.forward_min_event_ndims - self.inverse_min_event_ndims)

    def __call__(self, value: Any, name: str | None = None, **kwargs: Any) -> Any:
        """As in TFP: `forward` of a tensor, a `tfb.Chain` with a bijector, the distribution of a distribution."""
        return tfb.Bijector.__call__(self, value, name, **kwargs)

    # Subclasses define these. Values and conditions have been checked.

    def _forward_and_log_det(self, z: tf.Tensor, condition: tf.Tensor | None) -> Step:
        raise NotImplementedError(f"{type(self).__name__} must define `_forward_and_log_det(z, condition)`.")

    def _inverse_and_log_det(self, x: tf.Tensor, condition: tf.Tensor | None) -> Step:
        raise NotImplementedError(f"{type(self).__name__} must define `_inverse_and_log_det(x, condition)`.")

    def _forward_sizes(self, sizes: list) -> list:
        """The sizes of an event of x, given those of an event of z.

        They are ints; where they are not known, tensors or `tf.compat.v1.Dimension`s, which compute as ints do.
        """
        return sizes

    def _inverse_sizes(self, sizes: list) -> list:
        """The sizes of an event of z, given those of an event of x."""
        return sizes

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict:
        return {}

    # Steps of a composition, with the log-det of events of rank `event_ndims`, or one that broadcasts to it.

    def _forward_step(self, z: tf.Tensor, condition: tf.Tensor | None, event_ndims: int) -> Step:
        x, log_det = self._forward_and_log_det(z, condition)
        extra = event_ndims - self.forward_min_event_ndims
        return x, _sum_over(log_det, x, self.inverse_min_event_ndims, extra)

    def _inverse_step(self, x: tf.Tensor, condition: tf.Tensor | None, event_ndims: int) -> Step:
        z, log_det = self._inverse_and_log_det(x, condition)
        extra = event_ndims - self.inverse_min_event_ndims
        return z, _sum_over(log_det, z, self.forward_min_event_ndims, extra)

    # Ranges in a composition.

    @property
    def _is_exact(self) -> bool:
        """Whether a fixed monotone function maps each element, so that a part of the latents has a known image."""
        return False

    def _image(self, latents: Range) -> Range:
        """The data of those latents of a range that the layer maps."""
        return self._moved(self.forward, latents) or Range.of(*self.data_range)

    def _preimage(self, data: Range) -> Range:
        """The latents of those data of a range that the layer reaches."""
        return self._moved(self.inverse, data) or Range.of(*self.latent_range)

    def _keeps(self, values: Range) -> bool:
        """Whether the layer maps the values of a range onto this range."""
        return values.is_one and self._is_permutation

    def _check_latents(self, latents: Range, part: bool = False) -> None:
        """Raises `RangeError` if the latents that the layer gets are not those, or a `part` of those, that it maps."""
        if not self._keeps(latents):
            part = part or self._is_exact or self._is_permutation
            check_fit(self.name, latents, Range.of(*self.latent_range), part)

    def _moved(self, move: Any, values: Range) -> Range | None:
        if self._keeps(values):
            return values
        return mapped_by(move, self.dtype, values) if self._is_permutation else None

    # Checks of values where they enter.

    def _event_ndims(self, event_ndims: Any, least: int, value: tf.Tensor) -> int:
        ndims = least if event_ndims is None else int(tf.get_static_value(event_ndims))
        if not least <= ndims <= value.shape.rank:
            raise ValueError(
                f"`event_ndims` must be at least {least} for {self.name} and at most the value's rank "
                f"{value.shape.rank}; got {ndims}."
            )
        return ndims

    def _check_event(self, name: str, value: Any) -> tf.Tensor:
        """`value` as a tensor of the right dtype and event shape; unknown sizes are checked when the graph runs."""
        value = tf.convert_to_tensor(value, dtype=self.dtype)
        sizes = self._z_shape if name == "z" else self._x_shape
        if sizes is not None:
            value = ensure_ends_in(name, value, sizes, f"the event shape {list(sizes)}", self.name)
        rank = self.forward_min_event_ndims if name == "z" else self.inverse_min_event_ndims
        if value.shape.rank is None or value.shape.rank < rank:
            raise ValueError(
                f"`{name}` must have at least {rank} dimensions for {self.name}, a number known in advance; "
                f"got shape {value.shape}."
            )
        return value

    def _check_condition(self, condition: Any) -> tf.Tensor | None:
        return check_condition(self.name, self.condition_shape, condition, self.dtype)

    # TFP's hooks, overridden to avoid TFP's cache, which looks up tensors by identity even after the weights changed.

    def _call_forward(self, x: Any, name: str, **kwargs: Any) -> tf.Tensor:
        with values_alone():
            return self.forward_and_log_det(x, **kwargs)[0]

    def _call_inverse(self, y: Any, name: str, **kwargs: Any) -> tf.Tensor:
        with values_alone():
            return self.inverse_and_log_det(y, **kwargs)[0]

    def _call_forward_log_det_jacobian(self, x: Any, event_ndims: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return self.forward_and_log_det(x, event_ndims=event_ndims, **kwargs)[1]

    def _call_inverse_log_det_jacobian(self, y: Any, event_ndims: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return self.inverse_and_log_det(y, event_ndims=event_ndims, **kwargs)[1]

    def _forward_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return _mapped_shape(shape, self.forward_min_event_ndims, self._forward_sizes)

    def _inverse_event_shape(self, shape: tf.TensorShape) -> tf.TensorShape:
        return _mapped_shape(shape, self.inverse_min_event_ndims, self._inverse_sizes)

    def _forward_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return _mapped_shape_tensor(shape, self.forward_min_event_ndims, self._forward_sizes)

    def _inverse_event_shape_tensor(self, shape: tf.Tensor) -> tf.Tensor:
        return _mapped_shape_tensor(shape, self.inverse_min_event_ndims, self._inverse_sizes)

    def is_same_map(self, other: Bijector) -> bool:
        """Whether `other` is this map: this object, or the same composition of the same objects."""
        return self is other


def _sum_over(log_det: tf.Tensor, value: tf.Tensor, min_event_ndims: int, extra: int) -> tf.Tensor:
    """`log_det`, one for each smallest event of the resulting `value`, summed over `extra` dimensions before those."""
    if not extra:
        return log_det
    return tf.reduce_sum(as_batch(log_det, value, min_event_ndims), axis=list(range(-extra, 0)))


def as_batch(log_det: tf.Tensor, value: tf.Tensor, event_ndims: int) -> tf.Tensor:
    """`log_det` broadcast to the batch shape of the resulting `value`."""
    batch = shapes.batch_shape(value, event_ndims)
    if isinstance(batch, list) and log_det.shape.is_fully_defined() and log_det.shape.as_list() == batch:
        return log_det
    return log_det + tf.zeros(batch, log_det.dtype)


def _mapped_shape(shape: tf.TensorShape, event_ndims: int, sizes: Any) -> tf.TensorShape:
    """`shape` with its last `event_ndims` sizes mapped; None where the result is not known."""
    if shape.rank is None or shape.rank < event_ndims:
        return tf.TensorShape(None)
    batch, event = shape[: shape.rank - event_ndims], shape[shape.rank - event_ndims :]
    return batch.concatenate(sizes([tf.compat.v1.Dimension(None) if size is None else size for size in event]))


def _mapped_shape_tensor(shape: tf.Tensor, event_ndims: int, sizes: Any) -> tf.Tensor:
    rank = int(shape.shape[0]) - event_ndims
    event = sizes([shape[rank + i] for i in range(event_ndims)])
    return tf.concat([shape[:rank], tf.stack(event) if event else tf.zeros([0], tf.int32)], axis=0)


def check_condition(
    name: str, condition_shape: tuple[int, ...] | None, condition: Any, dtype: tf.DType | None
) -> tf.Tensor | None:
    """`condition` as a tensor that ends in `condition_shape`, or None if that is None.

    Raises:
      ValueError: if it is missing, unexpected, or of another shape.
    """
    if condition_shape is None:
        if condition is not None:
            raise ValueError(f"{name} takes no condition (it has no `condition_shape`); leave `condition` out.")
        return None
    if condition is None:
        raise ValueError(f"{name} needs `condition=` of shape [..., {', '.join(map(str, condition_shape))}].")
    condition = tf.convert_to_tensor(condition)
    if dtype is not None and condition.dtype != dtype:
        condition = tf.cast(condition, dtype)
    return ensure_ends_in("condition", condition, condition_shape, f"the condition shape {list(condition_shape)}", name)


def ensure_ends_in(name: str, value: tf.Tensor, sizes: Any, rule: str, of: str) -> tf.Tensor:
    """`value`, checked to end in `sizes`; sizes that are not known are checked when the graph runs.

    Raises:
      ValueError: if known sizes differ, or the rank is not known.
    """
    rank = len(sizes)
    if value.shape.rank is None:
        raise ValueError(
            f"`{name}` must end in {rule} of {of}, and have a known number of dimensions; got shape {value.shape}. "
            f"Say how many in the input_signature, such as tf.TensorSpec({[None, *map(int, sizes)]})."
        )
    if value.shape.rank < rank or not value.shape[value.shape.rank - rank :].is_compatible_with(sizes):
        way_out = ""
        if value.shape.rank == 1 and list(sizes) == [1]:
            way_out = f" For one number per row, use {name}[..., None]."
        raise ValueError(f"`{name}` must end in {rule} of {of}; got shape {value.shape.as_list()}.{way_out}")
    if value.shape[value.shape.rank - rank :].is_fully_defined():
        return value
    return tf.ensure_shape(value, [None] * (value.shape.rank - rank) + list(sizes))
