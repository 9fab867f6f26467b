"""Sylvester maps, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp.bijectors import Sylvester
from tfp_nvp.flows._amortized_recipe import AmortizedRecipe

tfd = tfp.distributions


class SylvesterFlow(AmortizedRecipe):
    """Sylvester maps, one after the other: each bends space along several directions (`bijectors.Sylvester`).

    With a condition, a network of its own gives each map its parameters: an amortized posterior. Both directions are
    exact, so that the flow also fits data by likelihood.

    Args:
      event_shape: [d].
      num_layers: number of maps, at least 1.
      num_directions: of each map, from 1 to d; by default d.
      basis: "orthogonal", "householder" or "triangular", as in `bijectors.Sylvester`; triangular maps take the elements
        in reverse order every second time.
      num_reflections: Householder reflections of each map.
      hidden_units: widths of the hidden layers of each map's network of the condition; unused without a condition.
      activation: of these networks, a Keras activation.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> SylvesterFlow([2], num_layers=3, seed=0).sample(4, seed=1).shape
    TensorShape([4, 2])

    References: van den Berg, Hasenclever, Tomczak & Welling (2018), "Sylvester Normalizing Flows for Variational
    Inference", arXiv:1803.05649.
    """

    _map = Sylvester

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 8,
        num_directions: int | None = None,
        basis: str = "orthogonal",
        num_reflections: int = 8,
        hidden_units: int | Sequence[int] = (64, 64),
        activation: Any = "relu",
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        self._of_map = {"num_directions": num_directions, "basis": basis, "num_reflections": num_reflections}
        super().__init__(
            event_shape,
            num_layers=num_layers,
            hidden_units=hidden_units,
            activation=activation,
            condition_shape=condition_shape,
            base=base,
            seed=seed,
            dtype=dtype,
            name=name,
        )

    def _options(self, number: int) -> dict[str, Any]:
        return {**self._of_map, "reverse": number % 2 == 1}
