"""Trains the model of a table."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfp_nvp.training._tables.batches import shuffled_batches
from tfp_nvp.training._tables.checkpoint import Checkpoint
from tfp_nvp.training._tables.part import Part
from tfp_nvp.training._tables.progress import Progress, say
from tfp_nvp.training._tables.schedule import Schedule
from tfp_nvp.training._tables.time_limit import TimeLimit


def train_model(
    model: keras.Model,
    train: Part,
    held_out: Part,
    plan: Schedule,
    seed: int,
    *,
    verbose: int | str,
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoint: Checkpoint | None,
    time_limit: TimeLimit | None,
    columns: int | None = None,
) -> None:
    """Trains a compiled model until the validation likelihood no longer improves, and restores its best weights.

    Args:
      model: a `FlowModel` with its data-dependent layers initialized, or another model that takes `Part.keras_data`
        and whose loss is a negative log-likelihood.
      train, held_out: rows.
      plan: of the training.
      seed: of the order of the rows.
      verbose, callbacks: as `fit` takes them.
      checkpoint: reads and writes the state; None for none.
      time_limit: ends the training; None for none.
      columns: how many the table has, for the line that says so; None for those of `train.x`.
    """
    dtype = np.dtype(model.dtype)
    train, held_out = train.astype(dtype), held_out.astype(dtype)
    inputs, targets, weights = held_out.keras_data
    validation_batch = min(len(held_out), 4096)
    logs = model.evaluate(inputs, targets, validation_batch, sample_weight=weights, verbose=0, return_dict=True)
    *before, best = plan.callbacks(logs["loss"])
    first_epoch = 0 if checkpoint is None else checkpoint.start(best, time_limit, plan.epochs)
    shown = verbose not in (0, False)
    bar = Progress(first_epoch) if shown and verbose != 2 else None
    ours = [callback for callback in (best, time_limit, bar) if callback is not None]
    after = [] if checkpoint is None else [checkpoint]
    if shown:
        say(_beginning(model, train, held_out, plan, first_epoch, columns or train.x.shape[1]))
    with contextlib.ExitStack() as stack:
        if bar is not None:
            stack.callback(bar.close)
        model.fit(
            shuffled_batches(
                train.x, train.condition, plan.batch_size, seed, train.weight, first_epoch * plan.steps_per_epoch
            ),
            epochs=plan.epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=plan.steps_per_epoch,
            validation_data=(inputs, targets, weights),
            validation_batch_size=validation_batch,
            callbacks=[*before, *ours, *callbacks, *after],
            shuffle=False,
            verbose=2 if verbose == 2 else 0,
        )
    if shown:
        say(_end(model, best, plan, time_limit))


def _beginning(model: keras.Model, train: Part, held_out: Part, plan: Schedule, first_epoch: int, columns: int) -> str:
    size = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    going_on = f"; going on after epoch {first_epoch}" if first_epoch else ""
    return (
        f"Fitting {size:,} weights to {len(train):,} rows × {columns}, validating on {len(held_out):,}: "
        f"at most {plan.epochs} epochs of {plan.steps_per_epoch} steps{going_on}"
    )


def _end(model: keras.Model, best: Any, plan: Schedule, time_limit: TimeLimit | None) -> str:
    """When and why the training ended, and of which epoch the weights are."""
    run = len(model.history.history.get("loss", ()))
    if run == plan.epochs and not (time_limit and time_limit.reached):
        end = f"Ended after all {run} epochs"
    elif time_limit and time_limit.reached:
        end = f"Stopped in epoch {run} of {plan.epochs}: the time limit of {time_limit.seconds:g} s is reached"
    elif best.stopped_epoch:
        waited = f"validation has not improved for {best.wait} epochs"
        end = f"Stopped after epoch {run} of {plan.epochs}: {waited}"
    else:
        end = f"Stopped after epoch {run} of {plan.epochs}"
    weights = "those from before the first step" if best.best_epoch < 0 else f"those of epoch {best.best_epoch + 1}"
    loss = "" if best.best is None else f", with a validation loss of {best.best:.4f} nats"
    return f"{end}; the weights are {weights}{loss}"
