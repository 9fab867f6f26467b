# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.flows.flow_plus_plus import FlowPlusPlus as FlowPlusPlus
from tfp_nvp.flows.glow import Glow as Glow
from tfp_nvp.flows.iaf import IAF as IAF
from tfp_nvp.flows.image_real_nvp import ImageRealNVP as ImageRealNVP
from tfp_nvp.flows.maf import MAF as MAF
from tfp_nvp.flows.neural_spline import NeuralSplineFlow as NeuralSplineFlow
from tfp_nvp.flows.nice import NICE as NICE
from tfp_nvp.flows.real_nvp import RealNVP as RealNVP
from tfp_nvp.flows.subscale import SubscaleFlow as SubscaleFlow
