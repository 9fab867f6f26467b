"""Expected coverage of regions around random points."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfp_nvp.evaluation._samples import events_of, levels_of, with_samples
from tfp_nvp.evaluation.figures import matrix


def tarp(
    model: Any, x: Any, condition: Any, *, references: Any = None, num_samples: int = 500, seed: int = 0
) -> np.ndarray:
    """Estimates the mass of the ball around a random point with x on its boundary, from samples.

        level = P(|x' − r| < |x − r|),    x' ~ p(x' | condition), columns scaled to the range of x

    If the model is the true p(x | condition), these levels are uniform on [0, 1] for any points r that are chosen
    without x, and `plot_calibration` draws them as it draws `credibility`. A model whose levels are uniform for every
    such choice, the condition's functions among them, is the true one; the default points depend on nothing, and with
    them a model that ignores its condition, such as the prior, passes too. No density is evaluated. If k of s samples
    are nearer to r than x is, the level is (k + u) / (s + 1) with u uniform on [0, 1].

    Args:
      model: a `FlowModel` or a `Flow`, with a condition.
      x: [m, d], for posteriors the parameters drawn from the prior.
      condition: [m, ...], the observation for each; or a dict of such arrays.
      references: points r [m, d] in the units of x, one for each row; by default uniform over the range of x.
      num_samples: samples for each row, at least 1.
      seed: an int, for reproducible samples and points.

    Returns:
      float64 [m].

    Raises:
      ValueError: if there is not one condition and one point for each x, or x or a sample is NaN.

    References: Lemos, Coogan, Hezaveh & Perreault-Levasseur (2023), "Sampling-Based Accuracy Testing of Posterior
    Estimators for General Inference", arXiv:2302.03026, algorithm 2 and theorem 3.
    """
    events = events_of(model, x).astype(np.float64)
    low, high = events.min(axis=0), events.max(axis=0)
    scale = np.where(high > low, high - low, 1.0)
    if references is None:
        points = low + (high - low) * np.random.default_rng([seed, 1]).uniform(size=events.shape)
    else:
        points = matrix("references", references)
        if points.shape != events.shape:
            raise ValueError(f"`references` must have the shape of x, {list(events.shape)}; got {list(points.shape)}.")
    nearer, start = [], 0
    for rows, _, samples in with_samples(model, x, condition, num_samples, seed):
        point = points[start : start + len(rows)]
        own = np.linalg.norm((rows - point) / scale, axis=-1)
        nearer.append((np.linalg.norm((samples - point) / scale, axis=-1) < own).sum(axis=0))
        start += len(rows)
    return levels_of(np.concatenate(nearer), num_samples, seed)
