"""Samples of a conditional model beside the events that they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.training import FlowModel

#: Events sampled at a time, to bound memory.
EVENTS = 200_000


def with_samples(
    model: Any, x: Any, condition: Any, num_samples: int, seed: int
) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
    """Yields batches of x [b, d] and the condition [b, ...], with samples [num_samples, b, d].

    On a grid, rows and samples would tie: the rows get noise of one step, and the samples are not rounded.

    Raises:
      ValueError: if there is not one condition for each x, or x or a sample is NaN.
    """
    num_samples, seed = checks.integer("num_samples", num_samples, 1), checks.integer("seed", seed, 0)
    takes, x = _model_of(model), events_of(model, x)
    condition = tf.nest.map_structure(np.asarray, takes.as_conditions(condition))
    sizes = {len(array) if array.ndim else None for array in tf.nest.flatten(condition)}
    if x.ndim != 2 or not len(x) or sizes != {len(x)}:
        raise ValueError(f"`x` must be [m, d] with a condition for each row; got {list(x.shape)} and rows {sizes}.")
    refuse_nan("`x`", x.sum(axis=1))
    schema = getattr(model, "schema", None)
    continuous = {} if schema is None else {"round": False}
    size = max(1, EVENTS // num_samples)
    for i, start in enumerate(range(0, len(x), size)):
        batch = slice(start, start + size)
        conditions = tf.nest.map_structure(lambda array, batch=batch: array[batch], condition)
        samples = model.sample(num_samples, condition=conditions, seed=(seed, i), **continuous).numpy()
        refuse_nan("A sample for the condition", samples.sum(axis=(0, 2)))
        rows = x[batch] if schema is None else schema.with_noise(x[batch], (seed, i)).numpy()
        yield rows, conditions, samples


def events_of(model: Any, x: Any) -> np.ndarray:
    """Events as the model takes them, in its dtype and order of columns."""
    return np.asarray(_model_of(model).as_events(x))


def _model_of(model: Any) -> FlowModel:
    return model if isinstance(model, FlowModel) else FlowModel(model)


def refuse_nan(name: str, of_rows: np.ndarray) -> None:
    """Raises `ValueError` for NaN, for which every comparison is false."""
    bad = np.flatnonzero(np.isnan(of_rows))
    if bad.size:
        raise ValueError(f"{name} is NaN in {bad.size} row(s): {bad[:5].tolist()}.")


def levels_of(counts: np.ndarray, num_samples: int, seed: int) -> np.ndarray:
    """(k + u) / (s + 1) of counts k among s samples, u uniform on [0, 1]: uniform for any s if k is so on 0, …, s."""
    return (counts + np.random.default_rng(seed).uniform(size=len(counts))) / (num_samples + 1)
