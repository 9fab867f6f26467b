"""Recipes: flows of the literature, ready to fit."""

from tfp_nvp.flows.flow_plus_plus import FlowPlusPlus
from tfp_nvp.flows.glow import Glow
from tfp_nvp.flows.iaf import IAF
from tfp_nvp.flows.image_real_nvp import ImageRealNVP
from tfp_nvp.flows.maf import MAF
from tfp_nvp.flows.neural_spline import NeuralSplineFlow
from tfp_nvp.flows.nice import NICE
from tfp_nvp.flows.real_nvp import RealNVP
from tfp_nvp.flows.subscale import SubscaleFlow

__all__ = [
    "IAF",
    "MAF",
    "NICE",
    "FlowPlusPlus",
    "Glow",
    "ImageRealNVP",
    "NeuralSplineFlow",
    "RealNVP",
    "SubscaleFlow",
]
