"""Fits a flow to a table in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import ActNorm, Chain
from tfp_nvp.bijectors.stock import as_bijector
from tfp_nvp.distributions import Flow
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.training._models.flow_model import FlowModel
from tfp_nvp.training._tables.batches import shuffled_batches, with_noise
from tfp_nvp.training._tables.columns import (
    MIN_ROWS,
    Columns,
    Standardize,
    as_table,
    initialize_standardization,
    inspect_columns,
    refuse_unresolved,
)
from tfp_nvp.training._tables.plan import Plan, plan_for
from tfp_nvp.training._tables.progress import Progress
from tfp_nvp.training._tables.regression import regression_shift
from tfp_nvp.training._tables.units import behind

tfd = tfp.distributions

#: Data-dependent layers are initialized from the first so many rows, which are in random order.
INITIAL_ROWS = 20_000


def fit(
    x: Any,
    condition: Any = None,
    *,
    flow: Flow | Callable[..., tfd.Distribution] | None = None,
    support: Any = None,
    validation_split: float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    verbose: int | str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    plan: Plan | None = None,
) -> FlowModel:
    """Fits a density p(x), or p(x | condition), to the rows of a table.

    Data and condition are standardized inside the model, so its likelihoods and samples are
    in the data's own units. Bounded columns (`support`) are mapped to the real line,
    heavy-tailed ones pass through asinh, and columns of values on a grid (integers) are
    dequantized with a warning. A ridge regression on the condition is fitted first and subtracted. Training
    ends when the validation likelihood no longer improves, and the model keeps the exponentially averaged
    weights of the best epoch, or the initial ones if none was better.

    Args:
      x: table [n, d] of finite numbers, n at least 20.
      condition: table [n, k] that x depends on, or None.
      flow: a flow, or a recipe, called as `flow(event_shape=[d], condition_shape=[k] or None,
        seed=seed)`; by default a neural spline flow sized to the data. It models
        the standardized data; with a condition, the standardized residuals of a linear regression.
      support: (low, high), each a number, None or an array [d]; ±inf or None for no bound.
      validation_split: fraction of rows held out, in (0, 1); by default 0.2 below 5,000
        rows, else 0.1, and never more than 50,000 rows.
      epochs: passes over the data, at most; by default those of the plan's steps.
      batch_size, learning_rate: by default chosen from the size of the data.
      seed: an int that makes split, initial weights and order of rows reproducible.
      verbose: 1 or "auto" for a progress bar, 2 for a line per epoch, 0 for silence.
      callbacks: more Keras callbacks.
      plan: sizes and training schedule; by default chosen from the data (docs/fitting.md).

    Returns:
      A fitted `FlowModel`. Its learning-rate schedule is spent: `compile` before fitting further.

    Raises:
      TypeError, ValueError: for data that can't be fitted (NaN, constant columns, too few
        rows, values outside `support`), naming rows or columns.

    >>> import tfp_nvp as nvp
    >>> rows = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = nvp.fit(rows, epochs=1, seed=0, verbose=0)
    >>> model.sample(5, seed=1).shape
    TensorShape([5, 2])
    """
    x = as_table("x", x)
    condition = None if condition is None else as_table("condition", condition)
    _check_rows(x, condition)
    seed = int(np.random.default_rng().integers(2**31)) if seed is None else checks.integer("seed", seed, 0)
    train, held_out = _split(len(x), validation_split, seed)
    plan = (plan or plan_for(len(train), x.shape[1])).override(len(train), batch_size, epochs, learning_rate)
    inner = _flow(flow, x, condition, plan, seed)
    columns = inspect_columns(x, support, inner.dtype)
    if condition is not None:
        refuse_unresolved("condition", condition, inner.dtype)
    model = _model(inner, columns, x, condition, train, held_out)
    model.compile(
        plan.optimizer(model.trainable_variables),
        jit_compile=plan.jit_compile,
        steps_per_execution=plan.steps_per_execution,
    )

    dtype = inner.dtype.as_numpy_dtype
    x, condition = x.astype(dtype), None if condition is None else condition.astype(dtype)
    batches = shuffled_batches(
        x[train], None if condition is None else condition[train], columns.step, plan.batch_size, seed
    )
    noisy = with_noise(tf.constant(x[held_out]), columns.step, tf.constant([seed, 0], tf.int64)).numpy()
    inputs, targets = (noisy, None) if condition is None else (condition[held_out], noisy)
    validation_batch = min(len(held_out), 4096)
    initial = model.evaluate(inputs, targets, batch_size=validation_batch, verbose=0, return_dict=True)["loss"]
    progress = [Progress()] if verbose in (1, "auto", True) else []
    try:
        model.fit(
            batches,
            epochs=plan.epochs,
            steps_per_epoch=plan.steps_per_epoch,
            validation_data=(inputs,) if targets is None else (inputs, targets),
            validation_batch_size=validation_batch,
            callbacks=[*plan.callbacks(initial), *progress, *callbacks],
            shuffle=False,
            verbose=2 if verbose == 2 else 0,
        )
    finally:
        for bar in progress:
            bar.on_train_end()
    return model


def _check_rows(x: np.ndarray, condition: np.ndarray | None) -> None:
    if len(x) < MIN_ROWS:
        raise ValueError(f"`x` must have at least {MIN_ROWS} rows to fit and validate on; it has {len(x)}.")
    if condition is not None and len(condition) != len(x):
        raise ValueError(f"`condition` must have a row for each of the {len(x)} rows of `x`; it has {len(condition)}.")


def _split(rows: int, fraction: float | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the training rows and of the validation rows."""
    if fraction is None:
        fraction = 0.2 if rows < 5_000 else 0.1
    elif not checks.fraction("validation_split", fraction) > 0.0:
        raise ValueError("`validation_split` must be above 0: the best weights are chosen on held-out rows.")
    held_out = min(max(MIN_ROWS // 4, round(fraction * rows)), 50_000)
    if rows - held_out < MIN_ROWS // 2:
        raise ValueError(f"`validation_split` leaves {rows - held_out} of {rows} rows to train on; lower it.")
    order = np.random.default_rng(seed).permutation(rows)
    return order[held_out:], order[:held_out]


def _flow(flow: Any, x: np.ndarray, condition: np.ndarray | None, plan: Plan, seed: int) -> tfd.Distribution:
    """Makes and checks the flow of the standardized data."""
    shapes = {"event_shape": [x.shape[1]], "condition_shape": None if condition is None else [condition.shape[1]]}
    if flow is None:
        flow = plan.flow(**shapes, seed=seed)
    elif not isinstance(flow, tfd.Distribution):
        if not callable(flow):
            raise TypeError(f"`flow` must be a flow or a recipe such as tfp_nvp.RealNVP; got {flow!r}.")
        flow = flow(**shapes, seed=seed)
    _check_flow(flow, shapes)
    return flow


def _model(
    flow: tfd.Distribution,
    columns: Columns,
    x: np.ndarray,
    condition: np.ndarray | None,
    train: np.ndarray,
    held_out: np.ndarray,
) -> FlowModel:
    """Initializes the flow, and adds the layers that standardize data and condition."""
    layers = columns.bijectors(flow.dtype)
    rows = initialize_standardization(layers, columns, x[train])
    encoder = first = None
    if condition is not None:
        encoder = Standardize.of(condition[train], flow.dtype.name)
        others = Chain(layers).inverse(tf.constant(x[held_out], flow.dtype))
        features, other_features = (encoder(tf.constant(condition[i], flow.dtype)) for i in (train, held_out))
        shift = regression_shift(rows.numpy(), features.numpy(), (others.numpy(), other_features.numpy()), flow.dtype)
        layers.append(shift)
        rows, first = shift.inverse(tf.cast(rows, flow.dtype), condition=features), features[:INITIAL_ROWS]
        residuals = ActNorm(x.shape[1:], trainable=False, dtype=flow.dtype, name="residuals")
        residuals.initialize(rows)
        layers.append(residuals)
        rows = residuals.inverse(rows)
    rows = tf.cast(rows[:INITIAL_ROWS], flow.dtype)
    if hasattr(flow, "bijector"):
        inner = as_bijector(flow.bijector)
        if not inner.is_initialized:
            inner.initialize(rows, first if inner.condition_shape is not None else None)
    return FlowModel(behind(layers, flow, name=flow.name.rstrip("/")), encoder)


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
