"""SavedModels for TensorFlow Serving, and back."""

from tfp_nvp.serving.client import Client
from tfp_nvp.serving.deployment import Deployment, models_in, write_deployment
from tfp_nvp.serving.errors import InvalidRequest, NotFound, ServingError, TimedOut, Unavailable
from tfp_nvp.serving.export import export
from tfp_nvp.serving.model_card import read_card, size_report
from tfp_nvp.serving.served_flow import ServedFlow, load
from tfp_nvp.serving.version_labels import labels, remove_label, set_label

__all__ = [
    "Client",
    "Deployment",
    "InvalidRequest",
    "NotFound",
    "ServedFlow",
    "ServingError",
    "TimedOut",
    "Unavailable",
    "export",
    "labels",
    "load",
    "models_in",
    "read_card",
    "remove_label",
    "set_label",
    "size_report",
    "write_deployment",
]
