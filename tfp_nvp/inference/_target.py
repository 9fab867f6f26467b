"""A density over a flat vector of real numbers, made of any that TensorFlow Probability or a user has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.distributions import Flow

tfb, tfd = tfp.bijectors, tfp.distributions

#: How many rows a new density is tried with: a size that an event seldom has, so that a wrong broadcast shows.
_TRIED = 7


class Target:
    """log p(z) of vectors z [..., d], up to a constant, and the map from z to the events that a user knows.

        log p(z) = log p(x) + log |det ∂x/∂z|,    x = bijector(z)

    Args:
      log_density: from events with any batch [n] to log p(x) [n], in nats.
      bijector: from z to x, a stock one; None where events are vectors [d] of real numbers themselves.
      size: d.
      dtype: of z.
    """

    def __init__(
        self, log_density: Callable[[Any], tf.Tensor], bijector: tfb.Bijector | None, size: int, dtype: tf.DType
    ):
        self._log_density = log_density
        self.bijector = bijector
        self.size = size
        self.dtype = dtype

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log p(z), up to a constant: [..., d] → [...], in nats."""
        if self.bijector is None:
            return tf.cast(self._log_density(z), self.dtype)
        z = tf.identity(z)  # TFP's cache looks up tensors by identity, and can't hold a new one
        log_det = self.bijector.forward_log_det_jacobian(z, 1)
        return tf.cast(self._log_density(self.bijector.forward(z)), self.dtype) + tf.cast(log_det, self.dtype)

    def log_prob_and_slope(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """log p(z) and its gradient: [n, d] → [n], [n, d]."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            log_prob = self.log_prob(z)
        return log_prob, tape.gradient(log_prob, z)

    def traced(self, shape: Any) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """`log_prob_and_slope` of vectors of one shape, as a graph that is made outside of all others.

        XLA would compile an AutoBatched joint distribution anew at every call if it were traced within a compiled
        function: TensorFlow makes functions of its vectorized parts then, whose arguments count as constants.
        """

        def both(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            log_prob = self.log_prob(z)
            return log_prob, tf.gradients(log_prob, z)[0]  # tapes are stopped within init_scope

        with tf.init_scope():
            return tf.function(both, autograph=False).get_concrete_function(tf.TensorSpec(shape, self.dtype))

    def one_pass(self, z: tf.Tensor) -> tf.Tensor:
        """log p(z) as `log_prob`, with first derivatives, all that kernels need, from the same evaluation."""
        if tf.executing_eagerly() or not z.shape.is_fully_defined():
            return self.log_prob(z)
        traced = self.traced(z.shape)

        @tf.custom_gradient
        def evaluated(z: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            log_prob, slope = traced(z)
            return log_prob, lambda upstream: upstream[..., tf.newaxis] * slope

        return evaluated(z)

    def events(self, z: tf.Tensor) -> Any:
        """x of z [..., d], in the structure of the events."""
        if self.bijector is None:
            return z
        batch = tf.shape(z)[:-1]
        events = self.bijector.forward(tf.reshape(z, [-1, self.size]))
        return tf.nest.map_structure(lambda part: tf.reshape(part, tf.concat([batch, tf.shape(part)[1:]], 0)), events)

    def vectors(self, events: Any) -> tf.Tensor:
        """z [..., d] of events x."""
        if self.bijector is None:
            return tf.convert_to_tensor(np.asarray(events), self.dtype)
        return self.bijector.inverse(tf.nest.map_structure(lambda part: tf.cast(part, self.dtype), events))

    def check(self) -> None:
        """Calls the density once.

        Raises:
          ValueError: if it does not give one number for each event of a batch.
        """
        z = 0.1 * tf.random.stateless_normal([_TRIED, self.size], seed=[0, 1], dtype=self.dtype)
        self.check_shape(self.log_prob(z).shape)

    @staticmethod
    def check_shape(shape: tf.TensorShape) -> None:
        """Refuses the shape of log-densities that is not that of `_TRIED` events."""
        if shape != [_TRIED]:
            raise ValueError(
                f"The target must give one log-density for each event: [{_TRIED}] for {_TRIED} events; its shape is "
                f"{shape}. Use an AutoBatched joint distribution, or sum over the dimensions of an event."
            )


def as_target(target: Any, *, like: tfd.Distribution | None = None, bijector: tfb.Bijector | None = None) -> Target:
    """The density that a user gives, as one over vectors.

    Args:
      target: a pinned joint distribution, or any other `tfd.Distribution` of real numbers; or a function from events to
        log-densities.
      like: a distribution of the same events, a flow over vectors or a surrogate posterior; functions need it.
      bijector: from unconstrained parts to the events, in place of the distribution's own.

    Raises:
      TypeError: if it is neither.
      ValueError: for events that can't be mapped to a vector, or log-densities of a wrong shape.
    """
    if isinstance(target, Target):
        return target
    if hasattr(target, "unnormalized_log_prob") and hasattr(target, "event_shape_tensor"):
        onto, size, dtype = flattening(target, bijector)
        made = Target(target.unnormalized_log_prob, onto, size, dtype)
    elif callable(target):
        if like is None:
            raise TypeError("`target` is a function, whose events are not known; give the surrogate or flow as well.")
        flow, onto = flow_and_bijector(like)
        made = Target(target, onto, flow.event_shape[-1], flow.dtype)
    else:
        raise TypeError(
            "`target` must be a pinned joint distribution, another tfd.Distribution, or a function from events to "
            f"log-densities; got {checks.shown(target)}."
        )
    made.check()
    return made


def flow_and_bijector(surrogate: Any) -> tuple[tfd.Distribution, tfb.Bijector | None]:
    """The flow over vectors within a surrogate posterior, and the bijector from vectors to events; None for a flow.

    Raises:
      TypeError: if it is neither.
    """
    inner = getattr(surrogate, "distribution", None)
    if not isinstance(surrogate, Flow) and isinstance(inner, Flow):
        return inner, surrogate.bijector
    if not isinstance(surrogate, tfd.Distribution) or tf.nest.is_nested(surrogate.dtype):
        raise TypeError(
            "The surrogate must be a flow over vectors, or what surrogate_posterior returns; "
            f"got {checks.shown(surrogate)}."
        )
    if surrogate.event_shape.rank != 1:
        raise ValueError(f"The flow must be over vectors [d]; its event shape is {surrogate.event_shape}.")
    return surrogate, None


def flattening(distribution: Any, bijector: tfb.Bijector | None = None) -> tuple[tfb.Bijector, int, tf.DType]:
    """The bijector from vectors [d] to the events of a distribution, d, and the dtype.

    It splits the vector, reshapes and packs the pieces, and maps them onto the supports.

    Raises:
      ValueError: for a batch shape, several dtypes, or events that no bijector reaches.
    """
    dtypes = set(tf.nest.flatten(distribution.dtype))
    dtype = next(iter(dtypes))
    if len(dtypes) > 1 or not dtype.is_floating:
        raise ValueError(
            f"All parts of the target's events must be real numbers of one dtype; they are {_named(distribution)}. "
            "Pin or marginalize discrete parts, and cast the others."
        )
    if any(shape.rank != 0 for shape in _shapes(distribution.batch_shape)):
        raise ValueError(f"The target must have batch shape []; it has {distribution.batch_shape}.")
    onto = _onto(distribution) if bijector is None else bijector
    shapes = distribution.event_shape_tensor()
    pack = tfb.pack_sequence_as(shapes)
    pieces = [[int(size) for size in piece] for piece in tfb.Chain([onto, pack]).inverse_event_shape_tensor(shapes)]
    sizes = [math.prod(piece) for piece in pieces]
    reshape = tfb.JointMap([tfb.Reshape(event_shape_out=piece, event_shape_in=[-1]) for piece in pieces])
    return tfb.Chain([onto, pack, reshape, tfb.Split(sizes)]), sum(sizes), dtype


def _onto(distribution: Any) -> tfb.Bijector:
    """The distribution's own bijector from unconstrained parts to its events."""
    way_out = "Give one as `bijector`, such as tfb.JointMap of a bijector for each part."
    try:
        onto = distribution.experimental_default_event_space_bijector()
    except Exception as error:
        raise ValueError(
            f"The target's events can't be mapped to a vector: its default event space bijector failed "
            f"({type(error).__name__}: {error}). {way_out}"
        ) from error
    if onto is None:
        raise ValueError(f"The target's events can't be mapped to a vector: it has no bijector onto them. {way_out}")
    return onto


def _named(distribution: Any) -> str:
    """The dtypes of the parts, as text."""
    return checks.shown(tf.nest.map_structure(lambda dtype: dtype.name, distribution.dtype))


def _shapes(shapes: Any) -> list[tf.TensorShape]:
    """The batch shapes of the parts; TFP gives one for all of them, or a structure."""
    return [shapes] if isinstance(shapes, tf.TensorShape) else tf.nest.flatten(shapes)
