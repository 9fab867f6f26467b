"""Ranks and expected coverage: is a conditional density too wide or too narrow?"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, tables
from tfp_nvp.training import FlowModel

#: Events sampled at a time, to bound memory.
_EVENTS = 200_000


def ranks(model: Any, x: Any, condition: Any, *, num_samples: int = 500, seed: int = 0) -> np.ndarray:
    """Counts the model's samples below each element of x.

    If the model is the true p(x | condition), ranks are uniform on 0, …, num_samples. A peak in the
    middle: too wide; at both ends: too narrow; a slope: biased.

    Args:
      model: a `FlowModel` or a `Flow`, with a condition.
      x: [m, d], for posteriors the parameters drawn from the prior.
      condition: [m, ...], the observation for each; or a dict of such arrays.
      num_samples: samples for each row, at least 1.
      seed: an int, for reproducible samples.

    Returns:
      int64 [m, d]; a frame with the same columns if x is a `pandas.DataFrame`.

    Raises:
      ValueError: if there is not one condition for each x, or x, a sample or a density is NaN.

    References: Talts, Betancourt, Simpson, Vehtari & Gelman (2018), "Validating Bayesian
    Inference Algorithms with Simulation-Based Calibration", arXiv:1804.06788, algorithm 1.
    """
    below = [(samples < rows).sum(axis=0) for rows, _, samples in _with_samples(model, x, condition, num_samples, seed)]
    counts = np.concatenate(below)
    takes = model if isinstance(model, FlowModel) else None
    names = takes.schema.columns if takes is not None and takes.schema is not None else tables.columns_of(x)
    return type(x)(counts, columns=list(names)) if hasattr(x, "iloc") and names else counts


def credibility(model: Any, x: Any, condition: Any, *, num_samples: int = 500, seed: int = 0) -> np.ndarray:
    """Estimates the mass of the region of highest density with x on its boundary, from samples.

    If the model is the true p(x | condition), these levels are uniform on [0, 1]: the region of mass
    0.9 holds x in nine cases of ten, the expected coverage. If k of s samples have a higher density
    than x, the level is (k + u) / (s + 1) with u uniform on [0, 1], so that it is uniform for any s.

    Args:
      model, x, condition, num_samples, seed: as for `ranks`.

    Returns:
      float64 [m].

    Raises:
      ValueError: if there is not one condition for each x, or x, a sample or a density is NaN.

    References: Hermans, Delaunoy, Rozet, Wehenkel, Begy & Louppe (2022), "A Trust Crisis In
    Simulation-Based Inference?", arXiv:2110.06581, section 2.
    """
    counts = []
    for rows, conditions, samples in _with_samples(model, x, condition, num_samples, seed):
        own = model.log_prob(rows, condition=conditions).numpy()
        others = model.log_prob(samples, condition=conditions).numpy()
        _refuse_nan("The density of x, or of samples for its condition,", own + others.sum(axis=0))
        counts.append((others > own).sum(axis=0))
    higher = np.concatenate(counts)
    return (higher + np.random.default_rng(seed).uniform(size=len(higher))) / (num_samples + 1)


def _with_samples(model: Any, x: Any, condition: Any, num_samples: int, seed: int) -> Any:
    """Yields batches of x [b, d] and the condition [b, ...], with samples [num_samples, b, d].

    On a grid, rows and samples would tie: the rows get noise of one step, and the samples are not rounded.
    """
    num_samples, seed = checks.integer("num_samples", num_samples, 1), checks.integer("seed", seed, 0)
    takes = model if isinstance(model, FlowModel) else FlowModel(model)
    x = np.asarray(takes.as_events(x))
    condition = tf.nest.map_structure(np.asarray, takes.as_conditions(condition))
    sizes = {len(array) if array.ndim else None for array in tf.nest.flatten(condition)}
    if x.ndim != 2 or not len(x) or sizes != {len(x)}:
        raise ValueError(f"`x` must be [m, d] with a condition for each row; got {list(x.shape)} and rows {sizes}.")
    _refuse_nan("`x`", x.sum(axis=1))
    schema = getattr(model, "schema", None)
    continuous = {} if schema is None else {"round": False}
    size = max(1, _EVENTS // num_samples)
    for i, start in enumerate(range(0, len(x), size)):
        batch = slice(start, start + size)
        conditions = tf.nest.map_structure(lambda array, batch=batch: array[batch], condition)
        samples = model.sample(num_samples, condition=conditions, seed=(seed, i), **continuous).numpy()
        _refuse_nan("A sample for the condition", samples.sum(axis=(0, 2)))
        rows = x[batch] if schema is None else schema.with_noise(x[batch], (seed, i)).numpy()
        yield rows, conditions, samples


def _refuse_nan(name: str, of_rows: np.ndarray) -> None:
    """Raises `ValueError` for NaN, for which every comparison is false."""
    bad = np.flatnonzero(np.isnan(of_rows))
    if bad.size:
        raise ValueError(f"{name} is NaN in {bad.size} row(s): {bad[:5].tolist()}.")
