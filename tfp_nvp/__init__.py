"""Normalizing flows for TensorFlow Probability: compose, train with Keras, serve.

>>> import tfp_nvp as nvp
>>> flow = nvp.RealNVP([2], num_layers=2, hidden_units=[16], seed=0)
>>> flow.log_prob([[0.0, 0.0]]).shape
TensorShape([1])
"""

from tfp_nvp import bijectors, conditioners, distributions, flows, masks, transformers
from tfp_nvp.distributions import Flow
from tfp_nvp.flows import NICE, NeuralSplineFlow, RealNVP
from tfp_nvp.training import FlowModel, fit

__version__ = "0.1.0"
