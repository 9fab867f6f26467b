"""Planar maps, one after the other."""

from __future__ import annotations

from tfp_nvp.bijectors import Planar
from tfp_nvp.flows._amortized_recipe import AmortizedRecipe


class PlanarFlow(AmortizedRecipe):
    """Planar maps, one after the other: each stretches space along one direction (`bijectors.Planar`).

    With a condition, a network of its own gives each map its parameters: an amortized posterior. Both directions are
    exact, so that the flow also fits data by likelihood. Each map bends little: tens are needed for what two
    couplings do.

    Args:
      event_shape: [d].
      num_layers: number of maps, at least 1.
      hidden_units: widths of the hidden layers of each map's network of the condition; unused without a condition.
      activation: of these networks, a Keras activation.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> PlanarFlow([2], num_layers=3, seed=0).sample(4, seed=1).shape
    TensorShape([4, 2])

    References: Rezende & Mohamed (2015), "Variational Inference with Normalizing Flows", arXiv:1505.05770, section 4.
    """

    _map = Planar
