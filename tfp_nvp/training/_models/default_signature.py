"""The signature of a `FlowModel` in a SavedModel that TensorFlow writes."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def default_signature(model: Any) -> Any:
    """log p(x) or log p(x | condition) as a `tf.function` of `x` and `condition`, for real numbers.

    Returns None for integers, whose likelihood needs noise seeds, and for an encoder without exactly one known input.
    """
    if model._fittable.levels is not None:
        return None
    distribution = model.distribution
    inputs = [tf.TensorSpec([None, *distribution.event_shape], distribution.dtype, name="x")]
    if model.is_conditional:
        condition = _condition_spec(model)
        if condition is None:
            return None
        inputs.append(condition)
    return tf.function(_named_log_prob(model), input_signature=inputs, autograph=False)


def _named_log_prob(model: Any) -> Any:
    if model.is_conditional:
        return lambda x, condition: {"log_prob": model.log_prob(x, condition)}
    return lambda x: {"log_prob": model.log_prob(x)}


def _condition_spec(model: Any) -> tf.TensorSpec | None:
    if model.encoder is None:
        shape, dtype = model._fittable.condition_shape, model._fittable.density_dtype
        return tf.TensorSpec([None, *shape], dtype, name="condition")
    inputs = getattr(model.encoder, "inputs", None) or []
    if len(inputs) != 1:
        return None
    return tf.TensorSpec([None, *inputs[0].shape[1:]], inputs[0].dtype, name="condition")
