"""Checks of the options that all fits of tables take."""

from __future__ import annotations

from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp.training._tables.schedule import Schedule


def checked_options(
    verbose: Any, callbacks: Any, plan: Any, kind: type[Schedule], example: str
) -> list[keras.callbacks.Callback]:
    """The callbacks in a list, after a check of what is no data.

    Args:
      verbose, callbacks, plan: as a fit was given them.
      kind: of plan that it takes.
      example: how to make one, for the message.
    """
    if verbose not in (0, 1, 2, "auto"):
        raise ValueError(f'`verbose` must be 0, 1, 2 or "auto"; got {checks.shown(verbose)}.')
    if plan is not None:
        checks.instance("plan", plan, kind, example)
    some = "Keras callbacks, such as [keras.callbacks.CSVLogger(file)]"
    return checks.sequence("callbacks", callbacks, keras.callbacks.Callback, some)
