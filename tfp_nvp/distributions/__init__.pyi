# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.distributions.conditional_normal import ConditionalNormal as ConditionalNormal
from tfp_nvp.distributions.dequantized import Dequantized as Dequantized
from tfp_nvp.distributions.flow import Flow as Flow
from tfp_nvp.distributions.gaussian_mixture import GaussianMixture as GaussianMixture
from tfp_nvp.distributions.mixture_of_flows import MixtureOfFlows as MixtureOfFlows
from tfp_nvp.distributions.standard_normal import StandardNormal as StandardNormal
from tfp_nvp.distributions.torus_normal import TorusNormal as TorusNormal
