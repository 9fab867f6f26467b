"""Recipes: flows of the literature, ready to fit."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
