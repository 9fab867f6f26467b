"""Ends a fit after a given time."""

from __future__ import annotations

import time
from typing import Any

import keras

from tfp_nvp import checks


class TimeLimit(keras.callbacks.Callback):
    """Ends training at the first call into the graph that returns after the limit.

    Args:
      seconds: from now on, so that preparation and compilation count too.
    """

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = checks.positive("time_limit", seconds)
        self.reached = False
        self._end = time.monotonic() + self.seconds

    def share(self, parts: int) -> TimeLimit:
        """A limit for the next of `parts` equal parts of the time that is left."""
        return TimeLimit(max(1e-3, (self._end - time.monotonic()) / parts))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if time.monotonic() > self._end:
            self.reached = self.model.stop_training = True
