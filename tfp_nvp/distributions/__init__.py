"""Distributions made of a base and bijectors."""

from tfp_nvp.distributions.conditional_normal import ConditionalNormal
from tfp_nvp.distributions.flow import Flow

__all__ = ["ConditionalNormal", "Flow"]
