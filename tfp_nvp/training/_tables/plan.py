"""The defaults of `fit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfp_nvp import flows
from tfp_nvp.distributions import Flow
from tfp_nvp.training._tables.schedule import Schedule
from tfp_nvp.transformers import CircularSpline, RationalQuadratic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan(Schedule):
    """Sizes and schedule that `fit` chooses from the numbers of training rows and columns."""

    num_layers: int
    hidden_units: int
    num_blocks: int
    num_bins: int
    dropout: float

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
    def jit_compile(self) -> bool:
        """Whether XLA pays: enough steps to amortize ten seconds of compilation, and no dropout, which it slows."""
        return self.max_steps >= 1500 and not self.dropout


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
