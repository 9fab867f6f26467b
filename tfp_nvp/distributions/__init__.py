"""Distributions made of a base and bijectors."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
