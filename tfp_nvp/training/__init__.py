"""Fitting: `FlowModel` for Keras, `fit` for one line."""

from tfp_nvp.training._anomalies.anomaly_detector import AnomalyDetector
from tfp_nvp.training._models.flow_model import FlowModel
from tfp_nvp.training._tables.fit import fit

__all__ = ["AnomalyDetector", "FlowModel", "fit"]
