"""Neural spline flows with couplings."""

from __future__ import annotations

from functools import partial
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks, masks
from tfp_nvp.bijectors import ActNorm, Chain, InvertibleLinear
from tfp_nvp.conditioners import ResidualMLP
from tfp_nvp.distributions import Flow
from tfp_nvp.flows.recipe import base_of, coupling, known_seed, policy_of, seeds
from tfp_nvp.transformers import RationalQuadratic, Transformer

tfd = tfp.distributions


class NeuralSplineFlow(Flow):
    """Rational-quadratic spline couplings, each after a learned linear map: RQ-NSF (C).

    Args:
      event_shape: [d].
      num_layers: number of couplings, at least 1.
      hidden_units: width of each conditioner, a residual network.
      num_blocks: residual blocks of each conditioner.
      activation: a Keras activation.
      dropout: rate in [0, 1) within the conditioners while training.
      transformer: what each coupling applies; a spline of 8 bins on [-5, 5] by default.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible permutations and initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> NeuralSplineFlow([3], num_layers=2, hidden_units=8, seed=0).sample(3, seed=1).shape
    TensorShape([3, 3])

    References: Durkan, Bekasov, Murray & Papamakarios (2019), "Neural Spline Flows",
    arXiv:1906.04032, sections 3 and 4.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 6,
        hidden_units: int = 128,
        num_blocks: int = 2,
        activation: Any = "relu",
        dropout: float = 0.0,
        transformer: Transformer | None = None,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str = "neural_spline_flow",
    ):
        seed = known_seed(seed)
        event_shape = checks.vector_shape("event_shape", event_shape)
        (d,) = event_shape
        transformer = (
            RationalQuadratic()
            if transformer is None
            else checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.RationalQuadratic()")
        )
        layers: list = [ActNorm(event_shape, dtype=dtype)]
        for i, s in enumerate(seeds(seed, checks.integer("num_layers", num_layers, 1))):
            make = partial(
                ResidualMLP,
                hidden_units=hidden_units,
                num_blocks=num_blocks,
                activation=activation,
                dropout=dropout,
                seed=s,
                dtype=policy_of(dtype),
            )
            mask = masks.half(d, flip=bool(i % 2))
            layers.append(InvertibleLinear(event_shape, seed=s if d > 2 else None, dtype=dtype, name=f"linear_{i}"))
            layers.append(
                coupling(transformer, make, mask, condition_shape=condition_shape, dtype=dtype, name=f"coupling_{i}")
            )
        super().__init__(base_of(base, event_shape, dtype), Chain(layers), name=name)
