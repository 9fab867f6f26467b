"""The base class: two methods, each one pass, and TFP's whole bijector API from them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import shapes
from tfp_nvp.bijectors.copying import copy_sharing_weights
from tfp_nvp.bijectors.no_cache import NoCache

tfb = tfp.bijectors


class Bijector(tfb.Bijector):
    """An invertible layer: `forward` maps latent z to data x, `inverse` maps x to z.

    A subclass writes two methods, each of which evaluates its network once:

        _forward_and_log_det(z, condition)  ->  x [..., *event],  log |det ∂x/∂z|
        _inverse_and_log_det(x, condition)  ->  z [..., *event],  log |det ∂z/∂x|

    The log-det is in nats, one value per event of rank `forward_min_event_ndims`
    (`inverse_min_event_ndims`), or anything that broadcasts to that. From these two come
    TFP's `forward`, `inverse`, both log-det-Jacobians with TFP's rules for `event_ndims`, and
    `forward_and_log_det` and `inverse_and_log_det`, which return both results of one pass.

    A layer whose result depends on side information has a `condition_shape`; it must
    then be given `condition=` [..., *condition_shape], whose batch dimensions broadcast
    with the value's. A layer without one refuses a condition.

    Nothing is remembered between calls: results are always those of the current weights.
    Two bijectors are equal only if they are the same object. `copy()` shares weights.

    Args:
      event_shape: what values end in, if the layer fixes it (then it is checked), or None.
      min_event_ndims: rank of an event; by default that of `event_shape`.
      inverse_min_event_ndims: rank of an event of x, where it differs from that of z.
      condition_shape: shape of one condition, or None.
      dtype: of values, or None for any.
      is_constant_jacobian: whether the log-det is the same for all values.
      parameters: `dict(locals())`, taken on the first line of the subclass's `__init__`.
      name: name of its ops and layer.
    """

    _cache = NoCache()

    def __init__(
        self,
        *,
        event_shape: tuple[int, ...] | None = None,
        min_event_ndims: int | None = None,
        inverse_min_event_ndims: int | None = None,
        condition_shape: tuple[int, ...] | None = None,
        dtype: Any = None,
        is_constant_jacobian: bool = False,
        parameters: dict[str, Any] | None = None,
        name: str | None = None,
    ):
        if min_event_ndims is None:
            if event_shape is None:
                raise ValueError("Give a bijector either `event_shape` or `min_event_ndims`.")
            min_event_ndims = len(event_shape)
        super().__init__(
            forward_min_event_ndims=min_event_ndims,
            inverse_min_event_ndims=min_event_ndims if inverse_min_event_ndims is None else inverse_min_event_ndims,
            is_constant_jacobian=is_constant_jacobian,
            dtype=None if dtype is None else tf.as_dtype(dtype),
            parameters={} if parameters is None else parameters,
            name=name,
        )
        self._event_shape = self._no_dependency(event_shape)
        self._condition_shape = self._no_dependency(condition_shape)

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        """Shape of one condition; None for a layer that takes none."""
        return self._condition_shape

    @property
    def condition_ndims(self) -> int:
        """Rank of one condition; 0 for a layer that takes none."""
        return len(self._condition_shape or ())

    @property
    def is_initialized(self) -> bool:
        """Whether every data-dependent layer has seen `initialize`."""
        return True

    def initialize(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> None:
        """Sets data-dependent weights from a batch x [n, *event]. Most layers have none."""

    def forward_and_log_det(
        self, z: Any, condition: Any = None, event_ndims: int | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
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
            z, condition = self._check_value("z", z), self._check_condition(condition)
            event_ndims = self.forward_min_event_ndims if event_ndims is None else event_ndims
            return self._forward_step(z, condition, event_ndims)

    def inverse_and_log_det(
        self, x: Any, condition: Any = None, event_ndims: int | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """z = inverse(x) and log |det ∂z/∂x|, from one evaluation.

        Arguments, results and errors are as for `forward_and_log_det`.
        """
        with tf.name_scope(f"{self.name}/inverse_and_log_det"):
            x, condition = self._check_value("x", x), self._check_condition(condition)
            event_ndims = self.inverse_min_event_ndims if event_ndims is None else event_ndims
            return self._inverse_step(x, condition, event_ndims)

    def copy(self, **overrides: Any) -> Bijector:
        """A copy that shares this bijector's weights.

        Raises:
          ValueError: if `overrides` would give the copy weights of its own.
        """
        return copy_sharing_weights(self, overrides)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    # What subclasses write.

    def _forward_and_log_det(self, z: tf.Tensor, condition: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        raise NotImplementedError(f"{type(self).__name__} must define `_forward_and_log_det(z, condition)`.")

    def _inverse_and_log_det(self, x: tf.Tensor, condition: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        raise NotImplementedError(f"{type(self).__name__} must define `_inverse_and_log_det(x, condition)`.")

    @classmethod
    def _parameter_properties(cls, dtype: Any) -> dict:
        return {}

    # One step of a chain: the condition unchecked, the log-det over `event_ndims` dimensions; not `whole`, it may be
    # anything that broadcasts to one number per event, as a sum over layers does not need them all.

    def _forward_step(
        self, z: tf.Tensor, condition: Any, event_ndims: int, whole: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor]:
        x, log_det = self._forward_and_log_det(self._check_event("z", z), condition)
        return x, self._per_event(log_det, z, self.forward_min_event_ndims, event_ndims, condition, whole)

    def _inverse_step(
        self, x: tf.Tensor, condition: Any, event_ndims: int, whole: bool = True
    ) -> tuple[tf.Tensor, tf.Tensor]:
        z, log_det = self._inverse_and_log_det(self._check_event("x", x), condition)
        return z, self._per_event(log_det, x, self.inverse_min_event_ndims, event_ndims, condition, whole)

    def _per_event(
        self, log_det: tf.Tensor, value: tf.Tensor, min_event_ndims: int, event_ndims: int, condition: Any, whole: bool
    ) -> tf.Tensor:
        """`log_det` broadcast to one number per smallest event, summed to one per event."""
        extra = event_ndims - min_event_ndims
        if extra < 0 or value.shape.rank < event_ndims:
            raise ValueError(
                f"`event_ndims` must be at least {min_event_ndims} for {self.name} and at most the value's rank "
                f"{value.shape.rank}; got {event_ndims}."
            )
        if not extra and not whole:
            return log_det
        batch = shapes.batch_shape(value, min_event_ndims)
        if condition is not None and self._condition_shape is not None:
            batch = shapes.broadcast(batch, shapes.batch_shape(condition, self.condition_ndims))
        if not (isinstance(batch, list) and log_det.shape.is_fully_defined() and log_det.shape.as_list() == batch):
            log_det = tf.broadcast_to(log_det, shapes.broadcast(batch, shapes.batch_shape(log_det, 0)))
        return tf.reduce_sum(log_det, axis=list(range(-extra, 0))) if extra else log_det

    # Where values enter.

    def _check_value(self, name: str, value: Any) -> tf.Tensor:
        value = tf.convert_to_tensor(value, dtype=self.dtype) if self.dtype else tf.convert_to_tensor(value)
        return self._check_event(name, value)

    def _check_event(self, name: str, value: tf.Tensor) -> tf.Tensor:
        if self._event_shape is not None:
            rank = len(self._event_shape)
            if value.shape.rank < rank or not value.shape[value.shape.rank - rank :].is_compatible_with(
                self._event_shape
            ):
                raise ValueError(
                    f"`{name}` must end in the event shape {list(self._event_shape)} of {self.name}; "
                    f"got shape {value.shape.as_list()}."
                )
            return value
        least = self.forward_min_event_ndims if name == "z" else self.inverse_min_event_ndims
        if isinstance(least, int) and value.shape.rank < least:
            raise ValueError(
                f"`{name}` must have at least {least} dimensions for {self.name}; got shape {value.shape.as_list()}."
            )
        return value

    def _check_condition(self, condition: Any) -> tf.Tensor | None:
        return check_condition(self.name, self._condition_shape, condition, self.dtype)

    # TFP's hooks.

    def _forward(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        return self._forward_and_log_det(self._check_event("z", z), self._check_condition(condition))[0]

    def _inverse(self, x: tf.Tensor, condition: Any = None) -> tf.Tensor:
        return self._inverse_and_log_det(self._check_event("x", x), self._check_condition(condition))[0]

    def _forward_log_det_jacobian(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        return self._forward_step(z, self._check_condition(condition), self.forward_min_event_ndims)[1]

    def _inverse_log_det_jacobian(self, x: tf.Tensor, condition: Any = None) -> tf.Tensor:
        return self._inverse_step(x, self._check_condition(condition), self.inverse_min_event_ndims)[1]


def check_condition(
    name: str, condition_shape: tuple[int, ...] | None, condition: Any, dtype: tf.DType | None
) -> tf.Tensor | None:
    """`condition` as a tensor, if it is there exactly when `condition_shape` is and ends in it.

    Raises:
      ValueError: otherwise.
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
    rank = len(condition_shape)
    if condition.shape.rank < rank or not condition.shape[condition.shape.rank - rank :].is_compatible_with(
        condition_shape
    ):
        raise ValueError(
            f"`condition` must end in the condition shape {list(condition_shape)} of {name}; "
            f"got shape {condition.shape.as_list()}."
        )
    return condition
