"""Distributions made of a base and bijectors."""

from tfp_nvp.distributions.flow import Flow

__all__ = ["Flow"]
