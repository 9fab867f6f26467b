"""Neural spline flows with couplings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp.bijectors import Bijector, InvertibleLinear
from tfp_nvp.conditioners import ResidualMLP
from tfp_nvp.flows._recipe import Network
from tfp_nvp.flows._vector_recipe import MaskOf, VectorParts, VectorRecipe
from tfp_nvp.transformers import RationalQuadratic, Transformer

tfd = tfp.distributions


class NeuralSplineFlow(VectorRecipe):
    """Rational-quadratic spline couplings, each after a learned linear map: RQ-NSF (C).

    Args:
      event_shape: [d].
      num_layers: number of couplings, at least 1.
      hidden_units: width of each conditioner, a residual network; an int, or a list of equal ones.
      num_blocks: residual blocks of each conditioner.
      activation: a Keras activation.
      dropout: rate in [0, 1) within the conditioners while training.
      transformer: of each coupling; a spline of 8 bins on [-5, 5] by default.
      mask_type: what a coupling keeps: "channel", the first half of the elements, or "checkerboard", every other one;
        the next coupling keeps the others.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible permutations and initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners; by default the flow's, or Keras' global policy if that is mixed.
        "mixed_bfloat16" computes them in bfloat16: the flow stays exact (docs/performance.md).

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
        hidden_units: int | Sequence[int] = 128,
        num_blocks: int = 2,
        activation: Any = "relu",
        dropout: float = 0.0,
        transformer: Transformer | None = None,
        mask_type: str = "channel",
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        transformer = RationalQuadratic() if transformer is None else transformer
        parts = VectorParts(event_shape, transformer, condition_shape, seed, dtype, network_dtype)
        network = partial(
            ResidualMLP, hidden_units=hidden_units, num_blocks=num_blocks, activation=activation, dropout=dropout
        )
        super().__init__(parts, self._layers_of(parts, num_layers, network, parts.mask_of(mask_type)), base, name)

    @staticmethod
    def _layers_of(parts: VectorParts, num_layers: int, network: Network, mask_of: MaskOf) -> Iterator[Bijector]:
        yield parts.act_norm("act_norm")
        for i, seed in enumerate(parts.seeds(num_layers)):
            start = seed if parts.d > 2 else None
            yield InvertibleLinear(parts.event_shape, seed=start, dtype=parts.dtype, name=f"linear_{i}")
            yield parts.coupling(network, mask_of(parts.d, flip=i % 2 == 1), seed, f"coupling_{i}")
