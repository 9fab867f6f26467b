"""Fits a flow to a table in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._keywords import answering
from tfp_nvp.distributions import Flow
from tfp_nvp.training._models.flow_model import FlowModel
from tfp_nvp.training._tables.checkpoint import Checkpoint
from tfp_nvp.training._tables.columns import refuse_outside
from tfp_nvp.training._tables.fit_split import Request, fit_split
from tfp_nvp.training._tables.options import checked_options
from tfp_nvp.training._tables.part import Part
from tfp_nvp.training._tables.periods import parse_periods
from tfp_nvp.training._tables.plan import Plan
from tfp_nvp.training._tables.split import split
from tfp_nvp.training._tables.stack import fit_stack
from tfp_nvp.training._tables.time_limit import TimeLimit

tfd = tfp.distributions

#: More members gain nothing that would pay for them.
MOST_MEMBERS = 50


@answering
def fit(
    x: Any,
    condition: Any = None,
    *,
    flow: Flow | Callable[..., tfd.Distribution] | None = None,
    support: Any = None,
    periodic: Any = None,
    tails: str = "asinh",
    sample_weight: Any = None,
    validation_data: Any = None,
    validation_split: float | None = None,
    groups: Any = None,
    stack: bool = False,
    members: int = 5,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    verbose: int | str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint_dir: str | os.PathLike | None = None,
    time_limit: float | None = None,
    plan: Plan | None = None,
) -> FlowModel:
    """Fits a density p(x), or p(x | condition), to the rows of a table.

    Data and condition are standardized inside the model, so its likelihoods and samples are
    in the data's own units. Bounded columns (`support`) are mapped to the real line, periodic ones (`periodic`) go
    around a circle, heavy-tailed ones pass through asinh, and columns of values on a grid (integers) are
    dequantized with a warning. A ridge regression on the condition is fitted first and subtracted. Training
    ends when the validation likelihood no longer improves, and the model keeps the exponentially averaged
    weights of the best epoch, or the initial ones if none was better.

    Args:
      x: table [n, d] of finite numbers, n at least 20: an array of any real dtype, or a DataFrame, whose column
        names the model keeps: later frames are taken by name, in any order.
      condition: table [n, k] that x depends on, or one column [n], or None. A column that is constant in the
        training rows is ignored, with a warning.
      flow: a flow, or a recipe, called as `flow(event_shape=[d], condition_shape=[k] or None,
        seed=seed)`, and with `circular=` where it has that argument: booleans [d], which columns are periodic, angles
        in [−π, π) then, with a warning if none is. By default a neural spline flow, or a `CircularSplineFlow`, sized to
        the data. It models the standardized data; with a condition, the standardized residuals of a linear regression.
      support: (low, high), each a number, None or an array [d]; ±inf or None for no bound. Or a dict of pairs by
        column name or number.
      periodic: pairs (low, high) whose ends are one point, as 0 and 24 hours are: a dict by column name or number, a
        list with None for the other columns, or one pair for all. Values beyond are wrapped, samples lie in
        [low, high), and the density is continuous all around.
      tails: of heavy-tailed columns: "asinh", or "pareto" for power laws of learned index, whose far quantiles are
        closer (`bijectors.ParetoTails`; docs/fitting.md).
      sample_weight: relative weights [n] of the rows, not negative; they count in every step, from
        standardization to stopping. Rows of weight 0 are left out.
      validation_data: rows that decide when to stop, a table x or a tuple (x, condition) or
        (x, condition, sample_weight) with None for what there is not; by default rows are held out.
      validation_split: fraction of rows held out, in (0, 1); by default 0.2 below 5,000
        rows, else 0.1, and never more than 50,000 rows. Equal rows stay on one side.
      groups: labels [n]; rows of one group (of one patient, of one day) stay on one side of the split.
      stack: whether to fit a mixture of flows, Gaussian mixtures and kernel densities, weighted by the likelihood of
        rows that each has not seen (docs/fitting.md): a better density of few rows, at about twice the cost. Such a
        model has no latents: no `encode`, no `decode`.
      members: of a stack, how many folds the rows are split into, and so how many flows there are.
      epochs: passes over the data, at most; by default those of the plan's steps.
      batch_size, learning_rate: by default chosen from the size of the data.
      seed: an int that makes split, initial weights and order of rows reproducible.
      verbose: 1 or "auto" for a progress bar, 2 for a line per epoch, 0 for silence. When and why the fit ended is
        said too, all but the lines of 2 on stderr.
      callbacks: more Keras callbacks.
      checkpoint_dir: a folder for the state of the fit, which is written at every epoch. A fit that was killed, or that
        `time_limit` has ended, goes on from there when it is called again with the same arguments, and one that has
        ended is returned at once. The state of your own `callbacks` is not kept.
      time_limit: seconds from the call, compilation included, after which the fit ends: with the call into the graph
        that is running then (up to 16 steps), and one validation. The best weights so far are restored.
      plan: sizes and training schedule; by default chosen from the data (docs/fitting.md).

    Returns:
      A fitted `FlowModel`. Its `fit` goes on with a new learning-rate schedule (docs/fine_tuning.md).

    Raises:
      TypeError, ValueError: for data that can't be fitted (NaN, constant or linearly dependent columns,
        too few rows, values outside `support`), naming rows or columns.

    >>> import tfp_nvp as nvp
    >>> rows = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = nvp.fit(rows, epochs=1, seed=0, verbose=0)
    >>> model.sample(5, seed=1).shape
    TensorShape([5, 2])
    """
    callbacks = checked_options(verbose, callbacks, plan, Plan, "tfp_nvp.training.plan_for(1000, 5)")
    limit = None if time_limit is None else TimeLimit(time_limit)
    if stack:
        _check_stack(flow, validation_data, validation_split, checkpoint_dir)
        checks.integer("members", members, 2, MOST_MEMBERS)
    checkpoint = None if checkpoint_dir is None else Checkpoint(checkpoint_dir)
    seed = checks.seed_or_random("seed", checkpoint.seed if seed is None and checkpoint is not None else seed)
    table = Part.of(x, condition, sample_weight, groups)
    periods = parse_periods(periodic, table.x.shape[1], table.names)
    table = table.wrapped(*periods)
    tails = checks.choice("tails", tails, ("asinh", "pareto"))
    options = (support, tails, epochs, batch_size, learning_rate, plan, verbose, callbacks)
    request = Request(table, periods, flow, *options)
    if stack:
        return fit_stack(request, members, seed, limit)
    train, held_out = split(table, fraction=validation_split, validation_data=validation_data, seed=seed)
    held_out = held_out.wrapped(*periods)
    plan = request.plan_of(train)
    made = request.flow_of(plan, seed)
    columns = request.inspect(train, made.dtype)
    refuse_outside("validation_data", held_out.x, columns.low, columns.high, table.names)
    return fit_split(request, columns, made, train, held_out, plan, seed, checkpoint=checkpoint, time_limit=limit)


def _check_stack(flow: Any, validation_data: Any, validation_split: Any, checkpoint_dir: Any) -> None:
    """Refuses what a stack, which holds every fold out in turn, has no use for."""
    if isinstance(flow, tfd.Distribution):
        raise TypeError(
            "`flow` must be a recipe where `stack=True`, since every fold gets a flow of its own: "
            f"functools.partial(tfp_nvp.RealNVP, num_layers=4), for example; got {checks.shown(flow)}."
        )
    given = {
        "validation_data": validation_data,
        "validation_split": validation_split,
        "checkpoint_dir": checkpoint_dir,
    }
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"`{name}` is for one flow, and `stack=True` fits one to each fold. Leave one of them out."
            )
