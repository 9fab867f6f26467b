"""The defaults of `fit_table`."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfp_nvp.training._tables.schedule import Schedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class TablePlan(Schedule):
    """Sizes and schedule that `fit_table` chooses from the number of training rows."""

    hidden_units: int
    num_blocks: int
    dropout: float
    num_components: int

    @property
    def sizes(self) -> dict[str, Any]:
        """The arguments of `TableModel`."""
        names = ("hidden_units", "num_blocks", "dropout", "num_components")
        return {name: getattr(self, name) for name in names}


def table_plan_for(rows: int) -> TablePlan:
    """The plan for a table of so many training rows; docs/tables.md reports the experiments behind it."""
    small = rows < 5_000
    return TablePlan(
        hidden_units=192,
        num_blocks=3,
        dropout=0.1,
        num_components=10,
        batch_size=min(256, max(32, rows // 4)),
        max_steps=4_000 if small else 12_000,
        learning_rate=2e-3,
        weight_decay=min(0.02, 60 / rows),
        ema_momentum=0.99,
        patience_steps=1_000 if small else 2_500,
        steps_per_epoch=32 if small else 96,
    )
