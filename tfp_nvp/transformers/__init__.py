"""Elementwise invertible maps with parameters: raw numbers → (value, log_det)."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
