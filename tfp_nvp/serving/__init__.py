"""Writes, reads and queries SavedModels for TensorFlow Serving."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
