"""Warnings that name the user's line, however deep in this package or Keras they arise."""

from __future__ import annotations

import sys
import warnings

#: Packages whose frames are not the user's.
_PASSED = {"tfp_nvp", "keras", "sklearn", "tensorflow"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """`warnings.warn` for the nearest caller that is no part of this package, Keras, scikit-learn or TensorFlow."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _PASSED:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
