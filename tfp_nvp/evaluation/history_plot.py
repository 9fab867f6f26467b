"""Plots the training curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_nvp import checks
from tfp_nvp.evaluation.figures import DATA, INK, MODEL, new_figure, saved, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_history(history: Any, path: str | Path | None = None) -> Figure:
    """Plots the negative log-likelihood of training and validation by epoch, and marks the best epoch.

    Args:
      history: what Keras' `fit` returns, its `.history` (lists by name), or a fitted model. It draws "nll" if there is
        one, else "loss", and the same with "val_".
      path: file for the picture, or None.

    Raises:
      TypeError: for anything else, or a model that has not been fitted.
      ValueError: if the history has neither "nll" nor "loss", or no epoch.
      ImportError: without matplotlib.

    >>> plot_history({"loss": [3.0, 2.0], "val_loss": [3.1, 2.2]}).axes[0].get_ylabel()
    'negative log-likelihood (nats)'
    """
    history = _by_name(history)
    key = next((k for k in ("nll", "loss") if len(history.get(k, []))), None)
    if key is None:
        raise ValueError(f"`history` must hold at least one epoch of 'nll' or 'loss'; it has {sorted(history)}.")
    figure = new_figure(figsize=(7, 4.2))
    axes = figure.add_subplot()
    curves = [("training", np.asarray(history[key]), INK)]
    if len(history.get(f"val_{key}", [])):
        curves.append(("validation", np.asarray(history[f"val_{key}"]), DATA))
    for label, values, color in curves:
        marker = "o" if len(values) == 1 else None  # a line of one point shows nothing
        axes.plot(np.arange(1, len(values) + 1), values, color=color, label=label, linewidth=1.6, marker=marker)
    _, values, color = curves[-1]
    if np.isfinite(values).any():
        best = int(np.nanargmin(np.where(np.isfinite(values), values, np.nan)))
        label = f"best: {values[best]:.4g} nats at epoch {best + 1}"
        axes.plot(best + 1, values[best], "o", color=MODEL, markersize=7, label=label, zorder=3)
    _limit_to_the_tail(axes, np.concatenate([values for _, values, _ in curves]))
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="epoch", ylabel="negative log-likelihood (nats)")
    tidy(axes)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    return saved(figure, path)


def _by_name(history: Any) -> Mapping[str, Sequence[float]]:
    """The lists of a history: of a model, of Keras' callback, or the lists themselves."""
    lists = history
    while not isinstance(lists, Mapping) and getattr(lists, "history", None) is not None:
        lists = lists.history
    if not isinstance(lists, Mapping):
        raise TypeError(f"`history` must be what `fit` returns, or a fitted model; got {checks.shown(history)}.")
    return lists


def _limit_to_the_tail(axes: Axes, values: np.ndarray) -> None:
    """Cuts off huge values of the first epochs, which would flatten the others."""
    values = values[np.isfinite(values)]
    if values.size < 20:
        return
    low, middle, high = np.percentile(values, [0, 75, 100])
    if high - low > 10 * (middle - low) > 0:
        axes.set_ylim(low - 0.2 * (middle - low), low + 6 * (middle - low))
