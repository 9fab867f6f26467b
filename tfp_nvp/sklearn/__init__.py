"""Estimators of scikit-learn: densities, conditional densities for regression, and outliers."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
