"""What all recipes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Bijector, Coupling, Elementwise
from tfp_nvp.transformers import Transformer

tfd = tfp.distributions


def standard_normal(event_shape: tuple[int, ...], dtype: Any) -> tfd.Distribution:
    """N(0, I) over events of a shape."""
    zeros = tf.zeros(event_shape, dtype)
    return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), len(event_shape))


def base_of(base: tfd.Distribution | None, event_shape: tuple[int, ...], dtype: Any) -> tfd.Distribution:
    """The base a recipe was given, checked, or the standard normal."""
    if base is None:
        return standard_normal(event_shape, dtype)
    if not isinstance(base, tfd.Distribution):
        raise TypeError(f"`base` must be a tfd.Distribution over events of shape {list(event_shape)}; got {base!r}.")
    if base.event_shape.as_list() != list(event_shape):
        raise ValueError(
            f"`base` must have the event shape {list(event_shape)}; its event shape is {base.event_shape.as_list()}, "
            f"its batch shape {base.batch_shape.as_list()}. tfd.Independent or tfd.Sample turn a batch into an event."
        )
    if base.dtype != tf.as_dtype(dtype):
        raise ValueError(f"`base` must be of dtype {tf.as_dtype(dtype).name}; it is {base.dtype.name}.")
    return base


def vector_shape(event_shape: Any) -> tuple[int, ...]:
    """`event_shape` as (d,), or an error that says what it must be."""
    sizes = checks.shape("event_shape", event_shape, min_rank=1)
    if len(sizes) != 1:
        raise ValueError(f"`event_shape` must be [d], the shape of a vector; got {list(sizes)}.")
    return sizes


def known_seed(seed: int | None) -> int:
    """`seed`, or one drawn from the machine's entropy: what is kept in `parameters` must make the same flow again."""
    return int(np.random.default_rng().integers(2**31)) if seed is None else checks.integer("seed", seed, 0)


def seeds(seed: int, count: int) -> list[int]:
    """`count` independent seeds from one."""
    return [int(s) for s in np.random.default_rng(seed).integers(2**31 - 2**20, size=count)]


def network_dtype(dtype: Any) -> Any:
    """The policy of conditioners: Keras' global one if it is mixed and the flow is float32, else `dtype`."""
    policy = keras.mixed_precision.global_policy()
    mixed = policy.compute_dtype != policy.variable_dtype
    return policy if mixed and tf.as_dtype(dtype) == tf.float32 else tf.as_dtype(dtype).name


def coupling(
    transformer: Transformer,
    make_conditioner: Callable[[int], keras.layers.Layer],
    mask: np.ndarray,
    *,
    condition_shape: Any,
    dtype: Any,
    name: str,
) -> Bijector:
    """A coupling; for d = 1, where nothing can be kept, what is left of it.

    One element alone is shaped by the condition, or by weights if there is none.

    Args:
      transformer: what is applied.
      make_conditioner: from the number of outputs to a Keras layer.
      mask: [d], `True` where kept.
      condition_shape, dtype, name: as for `Coupling`.
    """
    if mask.shape == (1,):
        if condition_shape is None:
            return Elementwise(transformer, mask.shape, dtype=dtype, name=name)
        mask = np.zeros(1, bool)
    conditioner = make_conditioner(transformer.num_parameters * int((~mask).sum()))
    return Coupling(transformer, conditioner, mask, condition_shape=condition_shape, dtype=dtype, name=name)
