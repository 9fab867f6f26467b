"""The verifier of bijectors and flows."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
