"""Fits a flow to a table in one call."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, tables
from tfp_nvp._keywords import answering
from tfp_nvp._names import recipe_called
from tfp_nvp._warnings import warn
from tfp_nvp.bijectors import ActNorm, Chain
from tfp_nvp.bijectors._range import WHOLE
from tfp_nvp.bijectors.stock import as_bijector
from tfp_nvp.distributions import Flow
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.training._models.flow_model import FlowModel
from tfp_nvp.training._models.standardize import Standardize
from tfp_nvp.training._tables.checkpoint import Checkpoint
from tfp_nvp.training._tables.columns import (
    Columns,
    initialize_standardization,
    inspect_columns,
    refuse_outside,
    refuse_unresolved,
    standardize,
)
from tfp_nvp.training._tables.dependence import check_independent
from tfp_nvp.training._tables.part import Part
from tfp_nvp.training._tables.periods import parse_periods
from tfp_nvp.training._tables.plan import Plan, plan_for
from tfp_nvp.training._tables.regression import regression_shift
from tfp_nvp.training._tables.shared_graphs import is_of_known_parts, share_graphs
from tfp_nvp.training._tables.split import split
from tfp_nvp.training._tables.time_limit import TimeLimit
from tfp_nvp.training._tables.train import train_model
from tfp_nvp.training._tables.units import behind

tfd = tfp.distributions

#: Data-dependent layers are initialized from the first so many rows, which are in random order.
INITIAL_ROWS = 20_000


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
    callbacks = _checked_options(verbose, callbacks, plan)
    limit = None if time_limit is None else TimeLimit(time_limit)
    checkpoint = None if checkpoint_dir is None else Checkpoint(checkpoint_dir)
    seed = checks.seed_or_random("seed", checkpoint.seed if seed is None and checkpoint is not None else seed)
    table = Part.of(x, condition, sample_weight, groups)
    periods = parse_periods(periodic, table.x.shape[1], table.names)
    table = table.wrapped(*periods)
    train, held_out = split(table, fraction=validation_split, validation_data=validation_data, seed=seed)
    held_out = held_out.wrapped(*periods)
    plan = plan or plan_for(round(train.effective_rows), table.x.shape[1])
    plan = plan.override(len(train), batch_size, epochs, learning_rate)
    inner = _flow(flow, table, plan, seed, np.isfinite(periods[0]))
    columns = inspect_columns(table.x, support, inner.dtype, table.weight, table.names, periods)
    columns = dataclasses.replace(columns, tails=checks.choice("tails", tails, ("asinh", "pareto")))
    refuse_outside("validation_data", held_out.x, columns.low, columns.high, table.names)
    if table.condition is not None:
        refuse_unresolved("condition", table.condition, inner.dtype, table.condition_names)
        _warn_of_ignored(train)
    check_independent(
        table.x, table.condition, columns.step, table.names, table.condition_names, inner.dtype.as_numpy_dtype
    )
    model = _model(inner, columns, train, held_out)
    if checkpoint is not None:
        checkpoint.identify(train, held_out, plan, seed, model.distribution)
    model.compile(plan.optimizer(), jit_compile=plan.jit_compile, steps_per_execution=plan.steps_per_execution)
    if is_of_known_parts(flow):
        share_graphs(model)
    train_model(
        model,
        train,
        held_out,
        plan,
        seed,
        verbose=verbose,
        callbacks=callbacks,
        checkpoint=checkpoint,
        time_limit=limit,
    )
    return model


def _checked_options(verbose: Any, callbacks: Any, plan: Any) -> list[keras.callbacks.Callback]:
    """The callbacks in a list, after a check of what is no data."""
    if verbose not in (0, 1, 2, "auto"):
        raise ValueError(f'`verbose` must be 0, 1, 2 or "auto"; got {checks.shown(verbose)}.')
    if plan is not None:
        checks.instance("plan", plan, Plan, "tfp_nvp.training.plan_for(1000, 5)")
    example = "Keras callbacks, such as [keras.callbacks.CSVLogger(file)]"
    return checks.sequence("callbacks", callbacks, keras.callbacks.Callback, example)


def _warn_of_ignored(train: Part) -> None:
    condition, names = np.asarray(train.condition), train.condition_names
    constant = np.flatnonzero(condition.max(axis=0) == condition.min(axis=0))
    if constant.size:
        listed = ", ".join(f"{tables.label(names, i)} (always {condition[0, i]:g})" for i in constant[:5])
        warn(
            f"`condition` has column(s) that are constant in the training rows: {listed}. The model ignores them, "
            "whatever value they have later."
        )


def _flow(flow: Any, table: Part, plan: Plan, seed: int, circular: np.ndarray) -> tfd.Distribution:
    """Makes and checks the flow of the standardized data, of which some columns are angles."""
    condition_shape = None if table.condition is None else [table.condition.shape[1]]
    shapes = {"event_shape": [table.x.shape[1]], "condition_shape": condition_shape}
    if flow is None:
        flow = plan.flow(**shapes, seed=seed, circular=circular.tolist())
    elif not isinstance(flow, tfd.Distribution):
        if not callable(flow):
            recipe = recipe_called(flow) or "RealNVP"
            raise TypeError(f"`flow` must be a flow or a recipe, such as tfp_nvp.{recipe}; got {checks.shown(flow)}.")
        if _takes_circular(flow):
            _check_circular(flow, circular)
            flow = partial(flow, circular=circular.tolist())
        flow = flow(**shapes, seed=seed)
    _check_flow(flow, shapes)
    _check_range(flow, circular)
    return flow


def _takes_circular(recipe: Callable) -> bool:
    try:
        return "circular" in inspect.signature(recipe).parameters
    except (TypeError, ValueError):  # of something that has no signature
        return False


def _check_circular(recipe: Callable, circular: np.ndarray) -> None:
    """Warns of a recipe of angles where no column is periodic.

    Raises:
      ValueError: if a `functools.partial` says itself which columns are angles, and says others than `periodic`.
    """
    own = getattr(recipe, "keywords", {}).get("circular")
    if own is not None and not np.array_equal(np.broadcast_to(own, circular.shape), circular):
        raise ValueError(
            f"`flow` has `circular={own}`, and `periodic` gives periods to the columns {np.flatnonzero(circular)}. "
            "Leave `circular` out: `fit` gives it, by `periodic=`, which says the ends of the periods too."
        )
    if not circular.any():
        warn(
            "`flow` is a recipe of angles, and no column is periodic: all are modelled as real numbers. Say which are "
            "angles, and in which units, by `periodic=`, such as {0: (0, 24)}; or take tfp_nvp.NeuralSplineFlow."
        )


def _model(flow: tfd.Distribution, columns: Columns, train: Part, held_out: Part) -> FlowModel:
    """Initializes the flow, and adds the layers that standardize data and condition."""
    schema = dataclasses.replace(columns.schema(), columns=train.names, condition_columns=train.condition_names)
    train, held_out = (
        dataclasses.replace(part, x=schema.with_noise(part.x, [0, number]).numpy())
        for number, part in enumerate((train, held_out))
    )
    encoder = features = None
    if train.condition is not None:
        encoder = Standardize.of(train.condition, flow.dtype.name, train.weight)
        features = encoder(tf.constant(train.condition, flow.dtype))
    layers, rows = _standardization(columns, flow.dtype, train, held_out, encoder, features)
    if hasattr(flow, "bijector"):
        inner = as_bijector(flow.bijector)
        if not inner.is_initialized:
            some = _some_rows(train.weight, len(train))
            first = None if inner.condition_shape is None else tf.gather(features, some)
            inner.initialize(tf.cast(tf.gather(rows, some), flow.dtype), first)
    return FlowModel(behind(layers, flow, name=flow.name.rstrip("/")), encoder, schema=schema)


def _standardization(
    columns: Columns, dtype: Any, train: Part, held_out: Part, encoder: Standardize | None, features: tf.Tensor | None
) -> tuple[list[Any], tf.Tensor]:
    """The layers from the data to what the flow models, and the standardized training rows."""
    others = ~columns.periodic
    if not others.any():
        layers = columns.around([], dtype)
        return layers, Chain(layers).inverse(tf.constant(train.x, dtype))
    some_train, some_held_out = (dataclasses.replace(part, x=part.x[:, others]) for part in (train, held_out))
    of_others = columns.take(others)
    layers = of_others.bijectors(dtype)
    rows = initialize_standardization(layers, of_others, some_train.x, train.weight)
    if encoder is not None:
        rows = _subtract_regression(layers, encoder, rows, features, some_train, some_held_out)
    if others.all():
        return layers, rows
    (circle, *_), number = columns.around(layers, dtype), np.cumsum(others) - 1
    angles = tf.cast(circle.inverse(tf.constant(train.x, dtype)), rows.dtype)
    return columns.around(layers, dtype), tf.where(others, tf.gather(rows, np.maximum(number, 0), axis=1), angles)


def _subtract_regression(
    layers: list[Any], encoder: Standardize, rows: tf.Tensor, features: tf.Tensor, train: Part, held_out: Part
) -> tf.Tensor:
    """Appends the shift by a regression on the features, and a standardization; returns the standardized residuals."""
    dtype = layers[0].dtype
    others = Chain(layers).inverse(tf.constant(held_out.x, dtype)).numpy()
    other_features = encoder(tf.constant(held_out.condition, dtype)).numpy()
    weights = train.weight, held_out.weight
    shift = regression_shift(rows.numpy(), features.numpy(), (others, other_features), dtype, weights)
    rows = shift.inverse(tf.cast(rows, dtype), condition=features)
    residuals = ActNorm(train.x.shape[1:], trainable=False, dtype=dtype, name="residuals")
    standardize(residuals, rows, train.weight)
    layers += [shift, residuals]
    return residuals.inverse(rows)


def _some_rows(weight: np.ndarray | None, rows: int) -> np.ndarray:
    """Numbers of at most `INITIAL_ROWS` of the rows, which are in random order; heavier ones more often."""
    count = min(rows, INITIAL_ROWS)
    if weight is None:
        return np.arange(count)
    return np.searchsorted(np.cumsum(weight), (np.arange(count) + 0.5) * weight.sum() / count)


def _check_flow(flow: Any, shapes: dict[str, Any]) -> None:
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(f"`flow` must make a tfd.Distribution; it made {flow!r}.")
    wanted, condition_shape = shapes["condition_shape"], as_fittable(flow).condition_shape
    condition_shape = None if condition_shape is None else list(condition_shape)
    if flow.event_shape.as_list() != shapes["event_shape"] or condition_shape != wanted:
        raise ValueError(
            f"`flow` must have event shape {shapes['event_shape']} and condition shape {wanted}, as the data have; "
            f"it has {flow.event_shape.as_list()} and {condition_shape}."
        )


def _check_range(flow: Any, circular: np.ndarray) -> None:
    """Checks that a flow is of angles in those elements, and of all real numbers in the others."""
    known = as_fittable(flow).as_flow()
    data_range = WHOLE if known is None else known.data_range
    if not circular.all() and any(np.isfinite(end).any() for end in data_range.take(~circular)):
        raise ValueError(
            f"`flow` must reach all real numbers, as it models standardized columns; {flow.name} has bounds. Fit it "
            "with tfp_nvp.FlowModel, or give bounds of the columns by `support=`."
        )
    if not circular.any():
        return
    low, high = data_range.take(circular)
    if not (np.allclose(low, -np.pi) and np.allclose(high, np.pi)):
        raise ValueError(
            f"`flow` must be of angles in [−π, π) in `periodic` columns ({np.flatnonzero(circular).tolist()}), as "
            f"tfp_nvp.CircularSplineFlow is; {flow.name} is not. Leave `flow` out, or give it `circular=`."
        )
