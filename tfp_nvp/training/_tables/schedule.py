"""The schedule of a fit."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import keras
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.training._models.fit_optimizer import FitOptimizer, cosine_schedule
from tfp_nvp.training._tables.averages import Averages
from tfp_nvp.training._tables.best_weights import BestWeights

_Self = TypeVar("_Self", bound="Schedule")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a model of a table is trained: batches, steps, rates, and when it ends."""

    batch_size: int
    max_steps: int
    learning_rate: float
    weight_decay: float
    ema_momentum: float
    patience_steps: int
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """The number of epochs of `steps_per_epoch` steps that `max_steps` needs."""
        return -(-self.max_steps // self.steps_per_epoch)

    @property
    def steps_per_execution(self) -> int:
        """Training steps per call into the graph, to amortize Keras' overhead; a divisor of `steps_per_epoch`.

        1 under a strategy: a step of several devices in a loop in a graph fails in TensorFlow 2.21.
        """
        if tf.distribute.has_strategy():
            return 1
        return max(k for k in range(1, 17) if self.steps_per_epoch % k == 0)

    def optimizer(self) -> keras.optimizers.Optimizer:
        """AdamW with clipped gradients, a warm-up and cosine schedule, averaged weights, and decay of kernels."""
        rate = cosine_schedule(self.learning_rate, self.max_steps)
        averaging = {"use_ema": True, "ema_momentum": self.ema_momentum} if self.ema_momentum else {}
        return FitOptimizer(rate, weight_decay=self.weight_decay, global_clipnorm=5.0, **averaging)

    def callbacks(self, initial: float) -> list[keras.callbacks.Callback]:
        """Callbacks that validate averaged weights and restore the best; `initial` is the loss before training."""
        patience = max(1, self.patience_steps // self.steps_per_epoch)
        swap = [Averages()] if self.ema_momentum else []
        return [*swap, BestWeights(initial, patience)]

    def override(
        self: _Self, rows: int, batch_size: int | None, epochs: int | None, learning_rate: float | None
    ) -> _Self:
        """Returns the same for `rows` training rows with the caller's settings."""
        batch = min(rows, self.batch_size if batch_size is None else checks.integer("batch_size", batch_size, 1))
        changes: dict[str, Any] = {"batch_size": batch}
        if learning_rate is not None:
            changes["learning_rate"] = checks.positive("learning_rate", learning_rate)
        if epochs is not None:
            pass_steps = max(1, rows // batch)
            if pass_steps > 16:
                pass_steps -= pass_steps % 16  # see steps_per_execution
            changes["max_steps"] = checks.integer("epochs", epochs, 1) * pass_steps
            changes["steps_per_epoch"] = pass_steps
        return dataclasses.replace(self, **changes)
