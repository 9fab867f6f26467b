"""Builds and calls the conditioner of a coupling or an autoregressive layer."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfp_nvp import shapes
from tfp_nvp.conditioners._conditioner import Conditioner


def connect(
    conditioner: keras.layers.Layer,
    event_shape: tuple[int, ...],
    condition_shape: tuple[int, ...] | None,
    num_outputs: int,
    dtype: tf.DType,
) -> keras.layers.Layer:
    """The conditioner, built on events [n, *event_shape], whose last axis gets `num_outputs` numbers.

    A `Conditioner` without `num_outputs` is given the number; any other layer must return as many.

    Raises:
      TypeError: if it is not a Keras layer.
      ValueError: if it does not return `num_outputs` numbers on the last axis.
    """
    if not isinstance(conditioner, keras.layers.Layer):
        raise TypeError(f"`conditioner` must be a Keras 3 layer or model; got {conditioner!r}.")
    if isinstance(conditioner, Conditioner) and conditioner.num_outputs is None:
        conditioner.num_outputs = num_outputs
    with tf.init_scope():  # a layer made while a graph is traced must still own real variables
        condition = None if condition_shape is None else tf.zeros((1, *condition_shape), dtype)
        outputs = _call(conditioner, tf.zeros((1, *event_shape), dtype), condition)
    if outputs.shape[1:].as_list() != [*event_shape[:-1], num_outputs]:
        raise ValueError(
            f"`conditioner` must return {num_outputs} numbers on its last axis, the raw numbers of all transformed "
            f"elements, and keep the others; it makes shape {outputs.shape.as_list()} of {[1, *event_shape]}. "
            "Leave `num_outputs` out where the conditioner has it."
        )
    return conditioner


def raw_numbers(
    conditioner: keras.layers.Layer,
    event: tf.Tensor,
    condition: tf.Tensor | None,
    *,
    event_ndims: int,
    condition_ndims: int,
    num_parameters: int,
) -> tf.Tensor:
    """The conditioner's raw numbers [p, ..., m], p = `num_parameters`, of an event [..., k] and a condition.

    Keras layers take one batch dimension and broadcast nothing: the batch is flattened to one, the condition
    broadcast to it, and the outputs [n, p · m] get the batch's shape back. They are cast to the event's dtype.
    """
    batch = shapes.batch_shape(event, event_ndims)
    if condition is not None:
        batch = shapes.broadcast(batch, shapes.batch_shape(condition, condition_ndims))
        condition = shapes.flatten_batch(shapes.broadcast_batch(condition, batch, condition_ndims), condition_ndims)
        event = shapes.broadcast_batch(event, batch, event_ndims)
    outputs = _call(conditioner, shapes.flatten_batch(event, event_ndims), condition)
    outputs = shapes.unflatten_batch(tf.cast(outputs, event.dtype), batch)
    return tf.stack(tf.split(outputs, num_parameters, axis=-1))


def _call(conditioner: keras.layers.Layer, event: tf.Tensor, condition: tf.Tensor | None) -> Any:
    """Passes the condition by keyword if `call` has such an argument, else in a list `[event, condition]`."""
    if condition is None:
        return conditioner(event)
    if "condition" in conditioner.call_signature_parameters:
        return conditioner(event, condition=condition)
    return conditioner([event, condition])
