"""SavedModels for TensorFlow Serving, and back."""

from tfp_nvp.serving._asking.client import Client
from tfp_nvp.serving._asking.errors import InvalidRequest, NotFound, ServingError, TimedOut, Unavailable
from tfp_nvp.serving._asking.served_flow import ServedFlow, load
from tfp_nvp.serving._deploying.deployment import Deployment, models_in, write_deployment
from tfp_nvp.serving._exporting.export import export
from tfp_nvp.serving._folders.model_card import read_card, size_report
from tfp_nvp.serving._folders.version_labels import labels, remove_label, set_label

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
