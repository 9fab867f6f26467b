"""Solvers of ordinary differential equations, of continuous flows."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
