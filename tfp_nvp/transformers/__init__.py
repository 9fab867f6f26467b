"""Elementwise invertible maps with parameters: raw numbers → (value, log_det)."""

from tfp_nvp.transformers.affine import Affine
from tfp_nvp.transformers.from_bijector import FromBijector
from tfp_nvp.transformers.mixture_of_logistics import MixtureOfLogistics
from tfp_nvp.transformers.rational_quadratic import RationalQuadratic
from tfp_nvp.transformers.shift import Shift
from tfp_nvp.transformers.transformer import Transformer

__all__ = ["Affine", "FromBijector", "MixtureOfLogistics", "RationalQuadratic", "Shift", "Transformer"]
