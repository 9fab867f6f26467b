# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.transformers.affine import Affine as Affine
from tfp_nvp.transformers.bernstein import Bernstein as Bernstein
from tfp_nvp.transformers.circular_spline import CircularSpline as CircularSpline
from tfp_nvp.transformers.deep_sigmoidal import DeepSigmoidal as DeepSigmoidal
from tfp_nvp.transformers.from_bijector import FromBijector as FromBijector
from tfp_nvp.transformers.mixture_of_logistics import MixtureOfLogistics as MixtureOfLogistics
from tfp_nvp.transformers.rational_quadratic import RationalQuadratic as RationalQuadratic
from tfp_nvp.transformers.shift import Shift as Shift
from tfp_nvp.transformers.sum_of_squares import SumOfSquares as SumOfSquares
from tfp_nvp.transformers.transformer import Transformer as Transformer
from tfp_nvp.transformers.unconstrained_monotonic import UnconstrainedMonotonic as UnconstrainedMonotonic
