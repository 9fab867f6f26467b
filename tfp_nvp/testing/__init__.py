"""The verifier: does a bijector or a flow do what it says?"""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
