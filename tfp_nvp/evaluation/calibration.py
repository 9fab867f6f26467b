"""Ranks and expected coverage: is a conditional density too wide or too narrow?"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfp_nvp import tables
from tfp_nvp.evaluation._samples import levels_of, refuse_nan, with_samples
from tfp_nvp.training import FlowModel


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
    below = [(samples < rows).sum(axis=0) for rows, _, samples in with_samples(model, x, condition, num_samples, seed)]
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
    for rows, conditions, samples in with_samples(model, x, condition, num_samples, seed):
        own = model.log_prob(rows, condition=conditions).numpy()
        others = model.log_prob(samples, condition=conditions).numpy()
        refuse_nan("The density of x, or of samples for its condition,", own + others.sum(axis=0))
        counts.append((others > own).sum(axis=0))
    return levels_of(np.concatenate(counts), num_samples, seed)
