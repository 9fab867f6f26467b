"""Early stopping that may restore the initial weights."""

from __future__ import annotations

import math
from typing import Any

import keras


class BestWeights(keras.callbacks.EarlyStopping):
    """Stops training when the validation loss no longer improves, and restores the weights of the least loss.

    Args:
      initial: the validation loss before training; if none is lower, the initial weights are restored.
      patience: epochs without improvement before the end.
    """

    def __init__(self, initial: float, patience: int):
        super().__init__("val_loss", patience=patience, mode="min", restore_best_weights=True)
        self.initial = initial

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        if math.isfinite(self.initial):
            self.best, self.best_weights, self.best_epoch = self.initial, self.model.get_weights(), -1
