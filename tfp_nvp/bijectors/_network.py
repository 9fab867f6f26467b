"""Builds and calls the conditioner of a coupling or an autoregressive layer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfp_nvp import shapes
from tfp_nvp._finite import held, with_held_gradient
from tfp_nvp.conditioners._conditioner import Conditioner, call_network


def connect(
    conditioner: keras.layers.Layer,
    event_shape: Sequence[int | None],
    condition_shape: tuple[int, ...] | None,
    num_outputs: int,
    dtype: tf.DType,
) -> keras.layers.Layer:
    """The conditioner, built on events [n, *event_shape], whose last axis gets `num_outputs` numbers.

    Sizes of None are those of images of any height and width: the conditioner is built on one pixel.

    A `Conditioner` without `num_outputs` is given the number; any other layer must return as many.

    Raises:
      TypeError: if it is not a Keras layer.
      ValueError: if it does not return `num_outputs` numbers on the last axis, or the condition's part in the inputs
        depends on sizes that are None.
    """
    if not isinstance(conditioner, keras.layers.Layer):
        raise TypeError(f"`conditioner` must be a Keras 3 layer or model; got {conditioner!r}.")
    if None in event_shape and len(condition_shape or ()) > 1:
        raise ValueError(
            f"`condition_shape` must be that of a vector or number for images of any size; got {condition_shape}. "
            "Give height and width in `event_shape`."
        )
    sizes = [1 if size is None else size for size in event_shape]
    if isinstance(conditioner, Conditioner) and conditioner.num_outputs is None:
        conditioner.num_outputs = num_outputs
    with tf.init_scope():  # a layer made while a graph is traced must still own real variables
        condition = None if condition_shape is None else tf.zeros((1, *condition_shape), dtype)
        outputs = call_network(conditioner, tf.zeros((1, *sizes), dtype), condition)
    if outputs.shape[1:].as_list() != [*sizes[:-1], num_outputs]:
        raise ValueError(
            f"`conditioner` must return {num_outputs} numbers on its last axis, the raw numbers of all transformed "
            f"elements, and keep the others; it makes shape {outputs.shape.as_list()} of {[1, *sizes]}. "
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
    broadcast to it, and the outputs [n, p · m] get the batch's shape back. They are cast to the event's dtype. Inputs
    and outputs are held to a range in which nothing overflows.
    """
    batch = shapes.batch_shape(event, event_ndims)
    if condition is not None:
        batch = shapes.broadcast(batch, shapes.batch_shape(condition, condition_ndims))
        condition = held(
            shapes.flatten_batch(shapes.broadcast_batch(condition, batch, condition_ndims), condition_ndims)
        )
        event = shapes.broadcast_batch(event, batch, event_ndims)
    outputs = call_network(conditioner, held(shapes.flatten_batch(event, event_ndims)), condition)
    is_held = isinstance(conditioner, Conditioner) and outputs.dtype != tf.bfloat16
    outputs = tf.cast(outputs, event.dtype)
    # Ours are in range already; not to hold them again saves the bins of a spline, each of which reads them, the work.
    outputs = with_held_gradient(outputs, 1) if is_held else held(outputs)
    outputs = shapes.unflatten_batch(outputs, batch)
    return tf.stack(tf.split(outputs, num_parameters, axis=-1))
