# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.conditioners.causal_transformer import CausalTransformer as CausalTransformer
from tfp_nvp.conditioners.conv_net import ConvNet as ConvNet
from tfp_nvp.conditioners.conv_net import ZeroConv as ZeroConv
from tfp_nvp.conditioners.gated_conv_net import GatedConvNet as GatedConvNet
from tfp_nvp.conditioners.lipschitz_conv_net import LipschitzConvNet as LipschitzConvNet
from tfp_nvp.conditioners.lipschitz_mlp import LipschitzMLP as LipschitzMLP
from tfp_nvp.conditioners.made import MADE as MADE
from tfp_nvp.conditioners.mlp import MLP as MLP
from tfp_nvp.conditioners.periodic_features import PeriodicFeatures as PeriodicFeatures
from tfp_nvp.conditioners.residual_conv_net import ResidualConvNet as ResidualConvNet
from tfp_nvp.conditioners.residual_made import ResidualMADE as ResidualMADE
from tfp_nvp.conditioners.residual_mlp import ResidualMLP as ResidualMLP
from tfp_nvp.conditioners.separate import Separate as Separate
