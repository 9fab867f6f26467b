"""A progress bar for long fits."""

from __future__ import annotations

from typing import Any

import keras
from rich import progress


class Progress(keras.callbacks.Callback):
    """Shows epochs, elapsed time and the negative log-likelihood in nats, in one line."""

    def on_train_begin(self, logs: Any = None) -> None:
        self._bar = progress.Progress(
            progress.TextColumn("fitting"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("epochs"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}"),
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=self.params["epochs"])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        parts = [f"{name} {logs[key]:.4f}" for name, key in (("nll", "nll"), ("validation", "val_nll")) if key in logs]
        self._bar.update(self._task, completed=epoch + 1, description="  ".join(parts) + " nats")

    def on_train_end(self, logs: Any = None) -> None:
        self._bar.stop()
