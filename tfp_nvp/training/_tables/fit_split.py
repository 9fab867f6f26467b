"""Fits one flow to the rows of one side of a split."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, tables
from tfp_nvp._names import recipe_called
from tfp_nvp._warnings import warn
from tfp_nvp.bijectors import ActNorm, Chain
from tfp_nvp.bijectors._range import WHOLE
from tfp_nvp.bijectors.stock import as_bijector
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.training._models.flow_model import FlowModel
from tfp_nvp.training._models.schema import Schema
from tfp_nvp.training._models.standardize import Standardize
from tfp_nvp.training._tables.checkpoint import Checkpoint
from tfp_nvp.training._tables.columns import (
    Columns,
    initialize_standardization,
    inspect_columns,
    refuse_unresolved,
    standardize,
)
from tfp_nvp.training._tables.dependence import check_independent
from tfp_nvp.training._tables.part import Part
from tfp_nvp.training._tables.plan import Plan, plan_for
from tfp_nvp.training._tables.regression import regression_shift
from tfp_nvp.training._tables.shared_graphs import is_of_known_parts, share_graphs
from tfp_nvp.training._tables.time_limit import TimeLimit
from tfp_nvp.training._tables.train import train_model
from tfp_nvp.training._tables.units import behind

tfd = tfp.distributions

#: Data-dependent layers are initialized from the first so many rows, which are in random order.
INITIAL_ROWS = 20_000


@dataclasses.dataclass(frozen=True)
class Request:
    """What `fit` was asked for, however the rows are split.

    Attributes:
      table: the rows to split, or the training rows if validation data are given.
      periods: the ends of the columns' periods, ±inf for others.
      flow, support, tails, epochs, batch_size, learning_rate, plan, verbose, callbacks: as in `fit`, checked.
    """

    table: Part
    periods: Any
    flow: Any
    support: Any
    tails: str
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    plan: Plan | None
    verbose: int | str
    callbacks: Sequence[keras.callbacks.Callback]

    def plan_of(self, train: Part) -> Plan:
        """Sizes and schedule for these training rows."""
        plan = self.plan or plan_for(round(train.effective_rows), train.x.shape[1])
        return plan.override(len(train), self.batch_size, self.epochs, self.learning_rate)

    def flow_of(self, plan: Plan, seed: int) -> tfd.Distribution:
        """A new flow of the standardized data."""
        return _flow(self.flow, self.table, plan, seed, np.isfinite(self.periods[0]))

    def inspect(self, train: Part, dtype: Any) -> Columns:
        """What is known of the columns, after a check of all rows; warns of what a user may not expect."""
        table = self.table
        columns = inspect_columns(table.x, self.support, dtype, table.weight, table.names, self.periods)
        if table.condition is not None:
            refuse_unresolved("condition", table.condition, dtype, table.condition_names)
            _warn_of_ignored(train)
        check_independent(
            table.x, table.condition, columns.step, table.names, table.condition_names, dtype.as_numpy_dtype
        )
        return dataclasses.replace(columns, tails=self.tails)


def fit_split(
    request: Request,
    columns: Columns,
    flow: tfd.Distribution,
    train: Part,
    held_out: Part,
    plan: Plan,
    seed: int,
    *,
    encoder: Standardize | None = None,
    checkpoint: Checkpoint | None = None,
    time_limit: TimeLimit | None = None,
) -> FlowModel:
    """Fits a flow of `request.flow_of` to the training rows until the others are no longer more likely.

    Args:
      encoder: of the condition; by default that of the training rows.
      seed: of the order of the rows.
    """
    model = _model(flow, columns, train, held_out, encoder)
    if checkpoint is not None:
        checkpoint.identify(train, held_out, plan, seed, model.distribution)
    model.compile(plan.optimizer(), jit_compile=plan.jit_compile, steps_per_execution=plan.steps_per_execution)
    if is_of_known_parts(request.flow):
        share_graphs(model)
    train_model(
        model,
        train,
        held_out,
        plan,
        seed,
        verbose=request.verbose,
        callbacks=request.callbacks,
        checkpoint=checkpoint,
        time_limit=time_limit,
    )
    return model


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


def schema_of(columns: Columns, table: Part) -> Schema:
    """What a model of the table keeps of its columns."""
    return dataclasses.replace(columns.schema(), columns=table.names, condition_columns=table.condition_names)


def _model(
    flow: tfd.Distribution, columns: Columns, train: Part, held_out: Part, encoder: Standardize | None
) -> FlowModel:
    """Initializes the flow, and adds the layers that standardize data and condition."""
    schema = schema_of(columns, train)
    train, held_out = (
        dataclasses.replace(part, x=schema.with_noise(part.x, [0, number]).numpy())
        for number, part in enumerate((train, held_out))
    )
    features = None
    if train.condition is not None:
        if encoder is None:
            encoder = Standardize.of(train.condition, flow.dtype.name, train.weight)
        features = encoder(tf.constant(train.condition, flow.dtype))
    layers, rows = standardization(columns, flow.dtype, train, held_out, encoder, features)
    if hasattr(flow, "bijector"):
        inner = as_bijector(flow.bijector)
        if not inner.is_initialized:
            some = _some_rows(train.weight, len(train))
            first = None if inner.condition_shape is None else tf.gather(features, some)
            inner.initialize(tf.cast(tf.gather(rows, some), flow.dtype), first)
    return FlowModel(behind(layers, flow, name=flow.name.rstrip("/")), encoder, schema=schema)


def standardization(
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
