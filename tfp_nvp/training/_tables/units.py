"""Puts layers in front of a flow, so that it models data in their own units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp.bijectors import Chain
from tfp_nvp.bijectors.stock import as_bijector
from tfp_nvp.distributions import Flow
from tfp_nvp.distributions.fittable import as_fittable

tfd = tfp.distributions


def behind(layers: Sequence[Any], inner: tfd.Distribution, name: str) -> Flow:
    """Returns a flow of data whose image under `layers` has the distribution `inner`; it keeps the recipe of `inner`.

    Args:
      layers: bijectors, from the data.
      inner: a flow, whose layers are appended, or another distribution, which becomes the base.
      name: of the new flow.
    """
    recipe = as_fittable(inner).recipe()
    if not hasattr(inner, "bijector"):
        return Flow(inner, Chain(list(layers)), recipe=recipe, name=name)
    return Flow(inner.distribution, Chain([*layers, as_bijector(inner.bijector)]), recipe=recipe, name=name)
