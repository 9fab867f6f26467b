"""Residual flows of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.conditioners import LipschitzMLP
from tfp_nvp.flows._residual_layers import residual_step
from tfp_nvp.flows._vector_recipe import VectorParts, VectorRecipe

tfd = tfp.distributions


class ResidualFlow(VectorRecipe):
    """Residual layers, z = x + g(x), after an ActNorm each: every number moves with every other.

    A density is one pass; samples are found as fixed points. Up to 32 elements the density is exact, beyond that an
    estimate, unbiased in training (`bijectors.Residual`, `flow.log_prob_and_error`).

    Args:
      event_shape: [d].
      num_layers: number of residual layers, at least 1.
      hidden_units: widths of the hidden layers of each network; an int for a single layer.
      lipschitz: bound of each network's Lipschitz constant, between 0 and 1. A layer's map stretches by factors between
        1 − lipschitz and 1 + lipschitz.
      max_exact: the largest d with an exact density, at the cost of d evaluations of each network.
      num_terms, num_probes, num_certain_terms: of the estimates beyond it, as in `bijectors.Residual`.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible initial weights and random signs.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> ResidualFlow([2], num_layers=2, hidden_units=[8], seed=0).sample(4, seed=1).shape
    TensorShape([4, 2])

    References: Behrmann, Grathwohl, Chen, Duvenaud & Jacobsen (2019), "Invertible Residual Networks",
    arXiv:1811.00995; Chen, Behrmann, Duvenaud & Jacobsen (2019), "Residual Flows for Invertible Generative Modeling",
    arXiv:1906.02735.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 8,
        hidden_units: int | Sequence[int] = (128, 128),
        lipschitz: float = 0.97,
        max_exact: int = 32,
        num_terms: int = 20,
        num_probes: int = 8,
        num_certain_terms: int = 4,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        parts = VectorParts(event_shape, None, condition_shape, seed, dtype)
        widths = checks.hidden_units("hidden_units", hidden_units)
        network = partial(LipschitzMLP, hidden_units=widths, lipschitz=lipschitz)
        estimate = {
            "max_exact": max_exact,
            "num_terms": num_terms,
            "num_probes": num_probes,
            "num_certain_terms": num_certain_terms,
        }
        layers = (
            layer
            for i in range(checks.integer("num_layers", num_layers, 1))
            for layer in residual_step(parts, network, f"{i}", parts.event_shape, **estimate)
        )
        super().__init__(parts, layers, base, name)
