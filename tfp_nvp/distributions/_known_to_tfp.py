"""Moments, distribution functions and divergences of flows, computed by TFP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors.stock import as_bijector

tfd = tfp.distributions


def _asked_of_stock(method: str) -> Callable[..., tf.Tensor]:
    """The hook of a method: it calls the stock distribution's, with the condition for base and bijector."""

    def hook(flow: Any, *values: tf.Tensor, condition: Any = None) -> tf.Tensor:
        condition = flow._check_condition(condition)
        of_bijector = {} if flow.bijector.condition_shape is None else {"condition": condition}
        return getattr(flow.as_stock(), method)(
            *values, distribution_kwargs=flow._for_base(condition), bijector_kwargs=of_bijector
        )

    return hook


class KnownToTFP:
    """The hooks of a flow's moments and distribution functions.

    Each raises `NotImplementedError` where TFP knows no formula: moments if the Jacobian is not constant, distribution
    functions if an event is not one number.
    """

    _mean, _mode, _stddev, _covariance, _entropy = map(
        _asked_of_stock, ("mean", "mode", "stddev", "covariance", "entropy")
    )
    _cdf, _log_cdf, _survival_function, _log_survival_function, _quantile = map(
        _asked_of_stock, ("cdf", "log_cdf", "survival_function", "log_survival_function", "quantile")
    )

    def _variance(self, condition: Any = None) -> tf.Tensor:
        return self._stddev(condition=condition) ** 2


def _kl_by_bases(a: Any, b: Any, name: str | None = None) -> tf.Tensor:
    """KL of two flows, ours or stock, with the same bijector, which equals that of their bases."""
    for flow in (a, b):
        if not isinstance(flow, tfd.TransformedDistribution):
            raise NotImplementedError(f"KL is known between two flows; {flow.name} is none.")
    if not as_bijector(a.bijector).is_same_map(as_bijector(b.bijector)):
        raise NotImplementedError("KL of two flows is known only if they share their bijector.")
    return tfd.kl_divergence(a.distribution, b.distribution, name=name)


for _pair in ((KnownToTFP, KnownToTFP), (KnownToTFP, tfd.Distribution), (tfd.Distribution, KnownToTFP)):
    tfd.RegisterKL(*_pair)(_kl_by_bases)
