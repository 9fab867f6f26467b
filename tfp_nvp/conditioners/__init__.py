"""Networks that compute a transformer's raw numbers: Keras 3 layers."""

from tfp_nvp.conditioners.conv_net import ConvNet, ZeroConv
from tfp_nvp.conditioners.gated_conv_net import GatedConvNet
from tfp_nvp.conditioners.made import MADE
from tfp_nvp.conditioners.mlp import MLP
from tfp_nvp.conditioners.residual_conv_net import ResidualConvNet
from tfp_nvp.conditioners.residual_made import ResidualMADE
from tfp_nvp.conditioners.residual_mlp import ResidualMLP

__all__ = ["MADE", "MLP", "ConvNet", "GatedConvNet", "ResidualConvNet", "ResidualMADE", "ResidualMLP", "ZeroConv"]
