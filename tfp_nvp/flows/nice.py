"""NICE: additive couplings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks, masks
from tfp_nvp.bijectors import Chain, Elementwise
from tfp_nvp.conditioners import MLP
from tfp_nvp.distributions import Flow
from tfp_nvp.flows.recipe import base_of, coupling, known_seed, policy_of, seeds
from tfp_nvp.transformers import Affine, Shift

tfd = tfp.distributions


class NICE(Flow):
    """Additive couplings on alternating parts, and one learned scale per element.

    Args:
      event_shape: [d].
      num_layers: number of couplings, at least 1; the paper has 4.
      hidden_units: widths of each conditioner's hidden layers.
      activation: a Keras activation.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> NICE([2], num_layers=2, hidden_units=[8], seed=0).log_prob([[0.0, 0.0]]).shape
    TensorShape([1])

    References: Dinh, Krueger & Bengio (2015), "NICE: Non-linear Independent Components
    Estimation", arXiv:1410.8516.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 4,
        hidden_units: Sequence[int] = (128, 128),
        activation: Any = "relu",
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str = "nice",
    ):
        seed = known_seed(seed)
        event_shape = checks.vector_shape("event_shape", event_shape)
        (d,) = event_shape
        layers: list = [Elementwise(Affine(), event_shape, dtype=dtype, name="scale")]
        for i, s in enumerate(seeds(seed, checks.integer("num_layers", num_layers, 1))):
            make = partial(MLP, hidden_units=hidden_units, activation=activation, seed=s, dtype=policy_of(dtype))
            mask = masks.alternating(d, flip=bool(i % 2))
            layers.append(
                coupling(Shift(), make, mask, condition_shape=condition_shape, dtype=dtype, name=f"coupling_{i}")
            )
        super().__init__(base_of(base, event_shape, dtype), Chain(layers), name=name)
