"""RealNVP: affine couplings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks, masks
from tfp_nvp.bijectors import ActNorm, Chain, Permute
from tfp_nvp.conditioners import MLP
from tfp_nvp.distributions import Flow
from tfp_nvp.flows.recipe import base_of, coupling, known_seed, policy_of, seeds
from tfp_nvp.transformers import Affine, Transformer

tfd = tfp.distributions


class RealNVP(Flow):
    """Affine couplings whose two halves take turns, each after an ActNorm.

    Every pair of couplings sees the elements in a new random order. ActNorm stands where
    the paper has batch normalization, as in Glow (Kingma & Dhariwal 2018, arXiv:1807.03039):
    its density of a point does not depend on other points.

    Args:
      event_shape: [d].
      num_layers: number of couplings, at least 1.
      hidden_units: widths of each conditioner's hidden layers.
      activation: a Keras activation.
      transformer: what each coupling applies to its half; affine as in the paper.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible permutations and initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> RealNVP([2], num_layers=2, hidden_units=[8], seed=0).sample(3, seed=1).shape
    TensorShape([3, 2])

    References: Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP",
    arXiv:1605.08803.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 8,
        hidden_units: Sequence[int] = (128, 128),
        activation: Any = "relu",
        transformer: Transformer | None = None,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str = "real_nvp",
    ):
        seed = known_seed(seed)
        event_shape = checks.vector_shape("event_shape", event_shape)
        (d,) = event_shape
        transformer = (
            Affine()
            if transformer is None
            else checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.Affine()")
        )
        layers: list = []
        for i, s in enumerate(seeds(seed, checks.integer("num_layers", num_layers, 1))):
            make = partial(MLP, hidden_units=hidden_units, activation=activation, seed=s, dtype=policy_of(dtype))
            mask = masks.half(d, flip=bool(i % 2))
            if i % 2 == 0 and i > 0 and d > 2:
                layers.append(Permute.random(d, s, name=f"permute_{i}"))
            layers.append(ActNorm(event_shape, dtype=dtype, name=f"act_norm_{i}"))
            layers.append(
                coupling(transformer, make, mask, condition_shape=condition_shape, dtype=dtype, name=f"coupling_{i}")
            )
        super().__init__(base_of(base, event_shape, dtype), Chain(layers), name=name)
