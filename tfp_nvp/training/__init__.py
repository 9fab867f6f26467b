"""Fitting: `FlowModel` for Keras, `fit` for one line."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
