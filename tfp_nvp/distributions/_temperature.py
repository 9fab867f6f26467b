"""Samples at a temperature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, shapes
from tfp_nvp.distributions._base import support_of
from tfp_nvp.distributions.fittable import Density, as_fittable

tfd = tfp.distributions

#: The temperatures.
AT_LEAST_ZERO = checks.Interval(0.0)


def tempered(base: tfd.Distribution, z: tf.Tensor, temperature: Any, **condition: Any) -> tf.Tensor:
    """Samples z of a base at a temperature T: m + T · (z − m).

    m is the base's mean; its mode where it has no mean, as a Cauchy distribution has none. Of a location-scale family
    this is the distribution with the scale times T; at T = 0 all samples are m.

    Args:
      base: over all real numbers.
      z: [*batch, *event].
      temperature: a number, or numbers that broadcast to [*batch], one for each sample; finite and at least 0. In a
        graph others give NaN.
      condition: of the base.

    Raises:
      TypeError, ValueError: if the base has a bounded support, or neither mean nor mode; for a temperature that is
        none, or of another shape.
    """
    rank = base.event_shape.rank
    center, temperature = _center(base, condition), _as_numbers(temperature, z.dtype)
    batch = shapes.batch_shape(z, rank)
    known = z.shape[: z.shape.rank - rank]
    if temperature.shape.rank > known.rank or not _are_one_or_equal(temperature.shape, known):
        raise ValueError(
            "`temperature` must be a number, or numbers of a shape that broadcasts to that of the samples without the "
            f"event, {known.as_list()}; got shape {temperature.shape.as_list()}."
        )
    temperature = tf.reshape(tf.broadcast_to(temperature, batch), shapes.concat(batch, [1] * rank))
    return center + temperature * (z - center)


def has_temperature(base: tfd.Distribution) -> bool:
    """Whether samples of a base, at any condition, have a temperature."""
    shape = as_fittable(base).condition_shape
    try:
        _center(base, {} if shape is None else {"condition": tf.zeros([1, *shape], base.dtype)})
    except ValueError:
        return False
    return True


def _center(base: tfd.Distribution, condition: dict[str, Any]) -> tf.Tensor:
    """The mean of a base, or its mode where it has no mean.

    Raises:
      ValueError: if there is neither, or the support has bounds.
    """
    with tf.init_scope():  # what is made of constants has values then
        support = support_of(base)
    if not support.is_whole:
        raise ValueError(
            f"`temperature` is for bases over all real numbers: samples of {base.name}, which are {support}, would "
            f"leave its support. Leave `temperature` out, or {_OTHER_BASE}."
        )
    if not tf.executing_eagerly() and not condition:
        with tf.init_scope():
            _checked_center(base, condition)
    return _checked_center(base, condition)


_OTHER_BASE = "use a base such as tfp_nvp.distributions.StandardNormal"


def _checked_center(base: tfd.Distribution, condition: dict[str, Any]) -> tf.Tensor:
    mean = _asked(base.mean, condition)
    # Ours have no mode without a mean, and a network may have to be evaluated for either.
    mode = None if isinstance(base, Density) else _asked(base.mode, condition)
    center = mode if mean is None else mean
    if mean is not None and mode is not None:
        center = tf.where(tf.math.is_finite(mean), mean, mode)
    if center is None or (tf.executing_eagerly() and not np.isfinite(center).all()):
        raise ValueError(
            f"`temperature` needs a base with a mean or a mode; {base.name} has none that is known. Leave "
            f"`temperature` out, or {_OTHER_BASE}; where the base is a flow, a Chain of both bijectors on its base."
        )
    return center


def _asked(moment: Callable[..., tf.Tensor], condition: dict[str, Any]) -> tf.Tensor | None:
    """A moment; None if TFP does not know it, or refuses one that does not exist."""
    try:
        return moment(**condition)
    except (NotImplementedError, ValueError, TypeError, tf.errors.OpError):
        return None


def _as_numbers(temperature: Any, dtype: tf.DType) -> tf.Tensor:
    """`temperature` as a tensor; its values are checked in eager mode, and NaN for a wrong one in a graph."""
    if not tf.is_tensor(temperature):
        temperature = tf.constant(checks.numbers_in("temperature", temperature, AT_LEAST_ZERO))
    elif not (temperature.dtype.is_floating or temperature.dtype.is_integer):
        raise TypeError(f"`temperature` must hold real numbers; got {temperature.dtype.name}.")
    temperature = tf.cast(temperature, dtype)
    if tf.executing_eagerly():
        checks.numbers_in("temperature", temperature.numpy(), AT_LEAST_ZERO)
        return temperature
    valid = tf.math.is_finite(temperature) & (temperature >= 0.0)
    return tf.where(valid, temperature, tf.constant(np.nan, dtype))


def _are_one_or_equal(shape: tf.TensorShape, of: tf.TensorShape) -> bool:
    pairs = zip(reversed(shape.as_list()), reversed(of.as_list()), strict=False)
    return all(size in (None, 1) or other in (None, size) for size, other in pairs)
