"""Networks that compute a transformer's raw numbers: Keras 3 layers."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
