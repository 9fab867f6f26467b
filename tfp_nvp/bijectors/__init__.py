"""Invertible layers. `forward` maps latent z to data x, `inverse` maps x to z."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
