"""The model's own metrics, in the form in which Keras' callbacks find whether less is better."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
from keras.src.trainers.compile_utils import MetricsList  # Keras' callbacks look into these alone

from tfp_nvp.distributions.fittable import Fittable


class Monitored(MetricsList):
    """The mean negative log-likelihood, and what follows from it: of all, less is better.

    So `EarlyStopping(monitor="val_nll")` needs no `mode`.

    Args:
      nll: the metric of the negative log-likelihood in nats.
      fittable: the distribution, which says what follows.
    """

    def __init__(self, nll: keras.metrics.Mean, fittable: Fittable):
        nll._direction = "down"
        others = [SimpleNamespace(name=name, _direction="down") for name in fittable.metrics_of(0.0)]
        super().__init__([nll, *others], name=nll.name)
        self._nll, self._fittable = nll, fittable

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds log-probs to the mean."""
        self._nll.update_state(-y_pred, sample_weight=sample_weight)

    def reset_state(self) -> None:
        self._nll.reset_state()

    def result(self) -> dict[str, Any]:
        """The metrics by name."""
        nll = self._nll.result()
        return {self._nll.name: nll} | self._fittable.metrics_of(nll)
