"""Shows how far a fit is, on stderr."""

from __future__ import annotations

import os
import sys
from typing import Any

import keras
from tqdm import tqdm


def say(text: str) -> None:
    """Writes a line to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Progress(keras.callbacks.Callback):
    """One line of text with epochs, time used and time left, and the negative log-likelihoods in nats.

    It is rewritten in place, in terminals and notebooks; into a file a new one is written at most every half minute.

    Args:
      first_epoch: the number of epochs that are done already.
    """

    def __init__(self, first_epoch: int = 0):
        super().__init__()
        self._epoch = self._first = first_epoch
        self._bar: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        epochs, steps = self.params["epochs"], self.params["steps"]
        self._bar = tqdm(
            desc="compiling",
            total=epochs * steps,
            initial=self._first * steps,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}, at most {remaining} left{postfix}",
            mininterval=0.2 if _is_rewritten() else 30.0,
            ncols=_columns(),
            nrows=20,  # a terminal that gives its height as 0 would show nothing
            file=sys.stderr,
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._bar.set_description_str(f"epoch {self._epoch + 1}/{self.params['epochs']}", refresh=False)
        self._bar.update(self._epoch * self.params["steps"] + batch + 1 - self._bar.n)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        parts = [f"{name} {logs[key]:.4f}" for name, key in (("nll", "nll"), ("validation", "val_nll")) if key in logs]
        self._bar.set_postfix_str(", ".join(parts) + " nats", refresh=_is_rewritten())

    def on_train_end(self, logs: Any = None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the line; training may have been interrupted."""
        if self._bar is not None:
            self._bar.close()


def _columns() -> int:
    """The width of the terminal, at most 120; 100 where there is none or it does not say."""
    try:
        return min(os.get_terminal_size(sys.stderr.fileno()).columns, 120) or 100
    except (OSError, ValueError, AttributeError):
        return 100


def _is_rewritten() -> bool:
    """Whether a carriage return on stderr starts the line anew: in a terminal or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in type(sys.stderr).__module__
