# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp import bijectors as bijectors
from tfp_nvp import conditioners as conditioners
from tfp_nvp import distributions as distributions
from tfp_nvp import evaluation as evaluation
from tfp_nvp import flows as flows
from tfp_nvp import masks as masks
from tfp_nvp import serving as serving
from tfp_nvp import testing as testing
from tfp_nvp import training as training
from tfp_nvp import transformers as transformers
from tfp_nvp.distributions.dequantized import Dequantized as Dequantized
from tfp_nvp.distributions.flow import Flow as Flow
from tfp_nvp.flows.flow_plus_plus import FlowPlusPlus as FlowPlusPlus
from tfp_nvp.flows.glow import Glow as Glow
from tfp_nvp.flows.iaf import IAF as IAF
from tfp_nvp.flows.image_real_nvp import ImageRealNVP as ImageRealNVP
from tfp_nvp.flows.maf import MAF as MAF
from tfp_nvp.flows.neural_spline import NeuralSplineFlow as NeuralSplineFlow
from tfp_nvp.flows.nice import NICE as NICE
from tfp_nvp.flows.real_nvp import RealNVP as RealNVP
from tfp_nvp.flows.subscale import SubscaleFlow as SubscaleFlow
from tfp_nvp.serving._exporting.export import export as export
from tfp_nvp.training._anomalies.anomaly_detector import AnomalyDetector as AnomalyDetector
from tfp_nvp.training._models.flow_model import FlowModel as FlowModel
from tfp_nvp.training._tables.fit import fit as fit

__version__: str
