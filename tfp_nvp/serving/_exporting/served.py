"""The parts of a served model, and its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp._module import tf_variables
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.serving._folders.condition_names import condition_name
from tfp_nvp.training import AnomalyDetector, Schema, TableModel

tfd = tfp.distributions

Specs = dict[str, tf.TensorSpec]


@dataclass(frozen=True)
class Served:
    """A distribution, its encoder, and the detector that scores with it; and what is known of the table's columns.

    All but the distribution may be None.
    """

    distribution: tfd.Distribution
    encoder: keras.layers.Layer | None
    detector: AnomalyDetector | None = None
    schema: Schema | None = None

    def round(self, x: tf.Tensor) -> tf.Tensor:
        """Samples, with values of grid columns on the grid."""
        return x if self.schema is None else self.schema.round(x)

    @cached_property
    def fittable(self) -> Any:
        """The distribution, or an adapter, with condition shape, levels and flow."""
        return as_fittable(self.distribution)

    @property
    def variables(self) -> list[tf.Variable]:
        """The weights of distribution and encoder."""
        return [*tf_variables(self.distribution), *tf_variables(self.encoder)]


def served(model: Any) -> Served:
    """Checks a distribution, `FlowModel` or `AnomalyDetector`, and returns its parts.

    Raises:
      TypeError: for anything else.
      ValueError: for a batch shape, an unknown event shape, layers that are not initialized,
        or a detector without a threshold.
    """
    distribution, encoder, detector, schema = model, None, None, None
    if isinstance(model, AnomalyDetector):
        model.threshold  # noqa: B018 - raises if there is none, and says to call `fit`
        detector, model = model, model.model
    if isinstance(model, keras.Model):
        distribution, encoder = getattr(model, "distribution", None), getattr(model, "encoder", None)
        schema = getattr(model, "schema", None)
    if isinstance(model, TableModel):
        raise TypeError(
            "`model` must be a flow; a TableModel has no SavedModel yet. Keep it with `model.save(path)`, and ask it "
            "in Python; or fit a flow to columns of numbers with `nvp.fit`."
        )
    if not isinstance(distribution, tfd.Distribution):
        raise TypeError(
            f"`model` must be a Flow, any tfd.Distribution, a FlowModel or an AnomalyDetector; got {model!r}."
        )
    _check_shapes(distribution)
    parts = Served(distribution, encoder, detector, schema)
    if not parts.fittable.is_initialized:
        raise ValueError(
            f"{distribution.name} has data-dependent layers (ActNorm) that have seen no data. "
            "Call `flow.initialize(x)` with a batch, or fit it, and export then."
        )
    return parts


def _check_shapes(distribution: tfd.Distribution) -> None:
    name, event_shape = distribution.name, distribution.event_shape
    if not isinstance(event_shape, tf.TensorShape) or not event_shape.is_fully_defined():
        raise ValueError(f"`model` must have one event of a known shape; that of {name} is {event_shape}.")
    if distribution.batch_shape.rank != 0:
        raise ValueError(
            f"`model` must have the batch shape [], as a server's batch is its rows; that of {name} is "
            f"{distribution.batch_shape.as_list()}. Wrap it in tfd.Independent to make the batch part of the event."
        )


def condition_specs(model: Served) -> Specs:
    """Specs of the inputs for the condition: none, `condition`, or `condition_KEY` for each of several."""
    shape = model.fittable.condition_shape
    if shape is None:
        return {}
    if model.encoder is None:
        return {"condition": rows("condition", shape, model.fittable.density_dtype)}
    inputs = _encoder_inputs(model.encoder)
    if isinstance(inputs, dict):
        named = {condition_name(key): tensor for key, tensor in inputs.items()}
    elif isinstance(inputs, (list, tuple)):
        named = {condition_name(tensor.name): tensor for tensor in inputs}
    else:
        shape = _with_free_sizes(model.encoder, inputs)
        return {"condition": rows("condition", shape, inputs.dtype)}
    return {name: rows(name, tensor.shape[1:], tensor.dtype) for name, tensor in named.items()}


def condition_of(model: Served, raw: dict[str, tf.Tensor]) -> tf.Tensor | None:
    """Maps the raw inputs to the distribution's condition, with the encoder if there is one."""
    if not raw:
        return None
    if model.encoder is None:
        return raw["condition"]
    inputs = _encoder_inputs(model.encoder)
    if isinstance(inputs, dict):
        return model.encoder({key: raw[condition_name(key)] for key in inputs}, training=False)
    if isinstance(inputs, (list, tuple)):
        return model.encoder([raw[condition_name(tensor.name)] for tensor in inputs], training=False)
    return model.encoder(raw["condition"], training=False)


def _encoder_inputs(encoder: keras.layers.Layer) -> Any:
    """The encoder's input, or a dict or list of them, each with `shape`, `dtype` and `name`."""
    if encoder.built and getattr(encoder, "inputs", None):  # a functional or sequential model
        return encoder.inputs[0] if len(encoder.inputs) == 1 else encoder.input
    shape = (encoder.get_build_config() or {}).get("input_shape") if encoder.built else None
    if isinstance(shape, (list, tuple)) and shape and all(size is None or isinstance(size, int) for size in shape):
        return keras.KerasTensor(shape, dtype=encoder.input_dtype)
    raise ValueError(
        f"The encoder {encoder.name!r} does not say what its input looks like. Make it a functional model, "
        "keras.Model(inputs, outputs), or a keras.Sequential that begins with keras.Input(shape)."
    )


def _with_free_sizes(encoder: keras.layers.Layer, inputs: Any) -> list[int | None]:
    """The shape of one input without the batch, with None for the length of a set or series if it may be any.

    An encoder that was built by its first batch knows one length only, so others are tried.
    """
    sizes = list(inputs.shape[1:])
    for axis in range(len(sizes)):
        free = [*sizes[:axis], None, *sizes[axis + 1 :]]
        if sizes[axis] is not None and _takes(encoder, free, sizes, inputs.dtype):
            sizes = free
    return sizes


def _takes(encoder: keras.layers.Layer, free: list[int | None], sizes: list[int | None], dtype: Any) -> bool:
    """Whether the encoder maps one row of another length to the same shape, in a graph too."""
    usual_sizes = [2 if size is None else size for size in sizes]
    longer = [size + (free[axis] is None) for axis, size in enumerate(usual_sizes)]
    try:
        traced = tf.function(lambda x: encoder(x, training=False), autograph=False)
        function = traced.get_concrete_function(tf.TensorSpec([None, *free], dtype))
        usual, other = (function(tf.zeros([1, *shape], dtype)) for shape in (usual_sizes, longer))
        same = encoder(tf.zeros([1, *longer], dtype), training=False)
    except (TypeError, ValueError, RuntimeError, tf.errors.OpError):
        return False
    return bool(usual.shape == other.shape == same.shape)


def rows(name: str, shape: Any, dtype: Any) -> tf.TensorSpec:
    """The spec of an input or output, with the batch as first dimension."""
    return tf.TensorSpec([None, *shape], dtype, name=name)
