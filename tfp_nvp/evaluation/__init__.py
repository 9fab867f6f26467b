"""Evaluates flows, in numbers and pictures."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
