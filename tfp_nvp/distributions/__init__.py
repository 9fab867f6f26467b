"""Distributions made of a base and bijectors."""

from tfp_nvp.distributions.conditional_normal import ConditionalNormal
from tfp_nvp.distributions.dequantized import Dequantized
from tfp_nvp.distributions.flow import Flow
from tfp_nvp.distributions.standard_normal import StandardNormal

__all__ = ["ConditionalNormal", "Dequantized", "Flow", "StandardNormal"]
