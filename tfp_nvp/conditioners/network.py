"""A conditioner at work: built once, called on any batch shape."""

from __future__ import annotations

import inspect

import keras
import tensorflow as tf

from tfp_nvp import shapes


class Network:
    """A Keras layer as a function (value, condition) → `num_outputs` raw numbers, of any batch shape.

    Keras layers want exactly one batch dimension, and know nothing of broadcasting. This
    flattens the batch to one, broadcasts the condition to it, calls the layer once, and
    gives the batch its shape back.

    Args:
      layer: a Keras layer or model. Called as `layer(value)`; with a condition as
        `layer(value, condition=condition)` if its `call` has that argument, else as
        `layer([value, condition])`.
      input_shape: shape of what the layer sees of an event.
      condition_shape: shape of a condition, or None.
      num_outputs: what the layer must return on its last axis; the others are the input's.
      dtype: of the values; raw numbers are cast to it.

    Raises:
      TypeError: if `layer` is not a Keras layer.
      ValueError: if it does not return `num_outputs` numbers on the last axis.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        *,
        input_shape: tuple[int, ...],
        condition_shape: tuple[int, ...] | None,
        num_outputs: int,
        dtype: tf.DType,
    ):
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(f"`conditioner` must be a Keras 3 layer or model; got {layer!r}.")
        self.layer = layer
        self.dtype = dtype
        self._input_rank = len(input_shape)
        self._condition_rank = len(condition_shape or ())
        takes_keyword = "condition" in inspect.signature(layer.call).parameters
        self._call = self._call_with_keyword if takes_keyword else self._call_with_list
        with tf.init_scope():  # a layer made while a graph is traced must still own real variables
            condition = None if condition_shape is None else tf.zeros((1, *condition_shape), dtype)
            outputs = self._call(tf.zeros((1, *input_shape), dtype), condition)
        if outputs.shape[1:].as_list() != [*input_shape[:-1], num_outputs]:
            raise ValueError(
                f"`conditioner` must return {num_outputs} numbers on its last axis, the raw numbers of all "
                f"transformed elements, and keep the others; it makes shape {outputs.shape.as_list()} of "
                f"{[1, *input_shape]}."
            )

    def __call__(self, value: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        if condition is None:
            batch = shapes.batch_shape(value, self._input_rank)
        else:
            condition = tf.cast(condition, self.dtype)
            batch = shapes.broadcast(
                shapes.batch_shape(value, self._input_rank), shapes.batch_shape(condition, self._condition_rank)
            )
            value = shapes.broadcast_batch(value, batch, self._input_rank)
            condition = shapes.flatten_batch(
                shapes.broadcast_batch(condition, batch, self._condition_rank), self._condition_rank
            )
        outputs = tf.cast(self._call(shapes.flatten_batch(value, self._input_rank), condition), self.dtype)
        return shapes.unflatten_batch(outputs, batch)

    def _call_with_keyword(self, value: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        return self.layer(value) if condition is None else self.layer(value, condition=condition)

    def _call_with_list(self, value: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        return self.layer(value) if condition is None else self.layer([value, condition])


def variables_of(layer: keras.layers.Layer) -> list[tf.Variable]:
    """The `tf.Variable`s of a built Keras layer, for `tf.Module` to find (it does not look into Keras layers)."""
    return [variable.value for variable in layer.variables]
