"""Inference: surrogate posteriors, chains through a flow, and evidence, on TensorFlow Probability's own parts."""

from tfp_nvp._names import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
