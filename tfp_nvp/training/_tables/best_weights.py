"""Early stopping that may keep the weights from before the first step."""

from __future__ import annotations

import math
from typing import Any

import keras


class BestWeights(keras.callbacks.EarlyStopping):
    """Ends training when the validation loss no longer improves, with the weights where it was least.

    Args:
      initial: the validation loss before training, whose weights are kept if nothing improves on it.
      patience: epochs without improvement before the end.
    """

    def __init__(self, initial: float, patience: int):
        super().__init__("val_loss", patience=patience, mode="min", restore_best_weights=True)
        self.initial = initial

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        if math.isfinite(self.initial):
            self.best, self.best_weights, self.best_epoch = self.initial, self.model.get_weights(), -1
