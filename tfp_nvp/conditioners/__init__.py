"""Networks that compute a transformer's raw numbers: Keras 3 layers."""

from tfp_nvp.conditioners.mlp import MLP
from tfp_nvp.conditioners.residual_mlp import ResidualMLP

__all__ = ["MLP", "ResidualMLP"]
