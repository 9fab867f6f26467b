"""A flow of standardized data as one of the data's own units."""

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
    """The flow of data that `layers` map to the events of another distribution, whose recipe it keeps.

    Args:
      layers: bijectors, from the data.
      inner: a flow, whose layers come next, or any other distribution, which is the base then.
      name: of the new flow.
    """
    recipe = as_fittable(inner).recipe()
    if not hasattr(inner, "bijector"):
        return Flow(inner, Chain(list(layers)), recipe=recipe, name=name)
    return Flow(inner.distribution, Chain([*layers, as_bijector(inner.bijector)]), recipe=recipe, name=name)
