"""SavedModels for TensorFlow Serving, and back."""

from tfp_nvp.serving.export import export
from tfp_nvp.serving.served_flow import ServedFlow, load

__all__ = ["ServedFlow", "export", "load"]
