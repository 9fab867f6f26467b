"""Columns of any type, and the network that gives their conditionals for any set of known ones."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
