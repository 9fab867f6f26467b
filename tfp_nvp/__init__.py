"""Normalizing flows for TensorFlow Probability: compose, train with Keras, serve.

>>> import tfp_nvp as nvp
>>> flow = nvp.RealNVP([2], num_layers=2, hidden_units=[16], seed=0)
>>> flow.log_prob([[0.0, 0.0]]).shape
TensorShape([1])
"""

from tfp_nvp._names import lazy
from tfp_nvp._registered import enter_with_keras

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy(__name__)

enter_with_keras()
