"""Continuous normalizing flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Continuous
from tfp_nvp.conditioners import MLP
from tfp_nvp.flows._vector_recipe import VectorParts, VectorRecipe
from tfp_nvp.solvers.solver import Solver

tfd = tfp.distributions


class ContinuousFlow(VectorRecipe):
    """Continuous normalizing flow: data are where a differential equation carries latents (`bijectors.Continuous`).

    Trained by likelihood as FFJORD is, with `FlowModel`, or many times faster without solving anything, with
    `FlowMatching`. The density of up to 32 numbers has an exact trace; above it is an estimate, of which
    `flow.log_prob_and_error` tells the standard error.

    Args:
      event_shape: [d].
      hidden_units: widths of the hidden layers of the velocity's network.
      activation: of these, a smooth Keras activation.
      solver: one of `tfp_nvp.solvers`; `RungeKutta4(16)` by default.
      max_exact, num_probes, kinetic, jacobian: as in `bijectors.Continuous`.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible initial weights and probes.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> ContinuousFlow([2], hidden_units=[8], seed=0).sample(4, seed=1).shape
    TensorShape([4, 2])

    References: Chen, Rubanova, Bettencourt & Duvenaud (2018), "Neural Ordinary Differential Equations",
    arXiv:1806.07366; Grathwohl et al. (2019), "FFJORD", arXiv:1810.01367.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        hidden_units: int | Sequence[int] = (128, 128, 128),
        activation: Any = "silu",
        solver: Solver | None = None,
        max_exact: int = 32,
        num_probes: int = 8,
        kinetic: float = 0.0,
        jacobian: float = 0.0,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        parts = VectorParts(event_shape, None, condition_shape, seed, dtype)
        widths, layer_seed = checks.hidden_units("hidden_units", hidden_units), parts.next_seed()
        continuous = Continuous(
            MLP(hidden_units=widths, activation=activation, seed=layer_seed, dtype=parts.policy),
            parts.event_shape,
            solver=solver,
            max_exact=max_exact,
            num_probes=num_probes,
            kinetic=kinetic,
            jacobian=jacobian,
            seed=layer_seed,
            **parts.shared,
        )
        super().__init__(parts, [parts.act_norm("act_norm"), continuous], base, name)
