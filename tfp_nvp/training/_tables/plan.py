"""The defaults of `fit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_nvp import checks, flows
from tfp_nvp.distributions import Flow
from tfp_nvp.training._models.fit_optimizer import FitOptimizer, cosine_schedule
from tfp_nvp.training._tables.averages import Averages
from tfp_nvp.training._tables.best_weights import BestWeights
from tfp_nvp.transformers import CircularSpline, RationalQuadratic


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes and schedule that `fit` chooses from the numbers of training rows and columns."""

    num_layers: int
    hidden_units: int
    num_blocks: int
    num_bins: int
    dropout: float
    batch_size: int
    max_steps: int
    learning_rate: float
    weight_decay: float
    ema_momentum: float
    patience_steps: int
    steps_per_epoch: int

    def flow(self, event_shape: Any, condition_shape: Any, seed: int, circular: Sequence[bool] = ()) -> Flow:
        """A new flow of this size; `circular` tells which elements are angles, if any are."""
        arguments: dict[str, Any] = {
            "num_layers": self.num_layers,
            "hidden_units": self.hidden_units,
            "num_blocks": self.num_blocks,
            "dropout": self.dropout,
            "condition_shape": condition_shape,
            "seed": seed,
        }
        spline = RationalQuadratic(num_bins=self.num_bins)
        if not any(circular):
            return flows.NeuralSplineFlow(event_shape, transformer=spline, **arguments)
        return flows.CircularSplineFlow(
            event_shape,
            circular=circular,
            transformer=CircularSpline(num_bins=self.num_bins),
            real_transformer=spline,
            **arguments,
        )

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

    @property
    def jit_compile(self) -> bool:
        """Whether XLA pays: enough steps to amortize ten seconds of compilation, and no dropout, which it slows."""
        return self.max_steps >= 1500 and not self.dropout

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

    def override(self, rows: int, batch_size: int | None, epochs: int | None, learning_rate: float | None) -> Plan:
        """Returns the plan for `rows` training rows with the caller's settings."""
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


def plan_for(rows: int, columns: int) -> Plan:
    """The plan for a table; docs/fitting.md reports the experiments behind it.

    Few rows get coarser splines, smaller batches and a shorter schedule; many rows a larger
    network, and steps for a few passes. There is no dropout: on the tables tried it changed the
    validation likelihood by a few hundredths of a nat, and under XLA it costs most of a step.
    """
    decay = min(1.0, 3_000 / rows)  # a prior's weight relative to the data's
    if rows < 5_000:
        return Plan(
            num_layers=6,
            hidden_units=64,
            num_blocks=1,
            num_bins=4,
            dropout=0.0,
            batch_size=min(256, max(32, rows // 4)),
            max_steps=3_000,
            learning_rate=2e-3,
            weight_decay=decay,
            ema_momentum=0.99,
            patience_steps=600,
            steps_per_epoch=32,
        )
    large = rows >= 100_000
    return Plan(
        num_layers=6,
        hidden_units=128 if large else 64,
        num_blocks=2 if large else 1,
        num_bins=8,
        dropout=0.0,
        batch_size=1024 if large else 256,
        max_steps=20_000 if large else 8_000,
        learning_rate=1e-3 if large else 2e-3,
        weight_decay=decay,
        ema_momentum=0.99,
        patience_steps=4_000 if large else 1_500,
        steps_per_epoch=512 if large else 96,
    )
