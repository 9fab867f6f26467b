"""NICE: additive couplings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp.bijectors import Bijector
from tfp_nvp.conditioners import MLP
from tfp_nvp.flows._recipe import Network
from tfp_nvp.flows._vector_recipe import MaskOf, VectorParts, VectorRecipe
from tfp_nvp.transformers import Affine, Shift

tfd = tfp.distributions


class NICE(VectorRecipe):
    """Additive couplings on alternating parts, and one learned scale per element.

    Args:
      event_shape: [d].
      num_layers: number of couplings, at least 1; the paper has 4.
      hidden_units: widths of each conditioner's hidden layers; an int for a single layer.
      activation: a Keras activation.
      mask_type: what a coupling keeps: "channel", the first half of the elements, or "checkerboard", every other one;
        the next coupling keeps the others.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners; by default the flow's, or Keras' global policy if that is mixed.
        "mixed_bfloat16" computes them in bfloat16: the flow stays exact (docs/performance.md).

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> NICE([2], num_layers=2, hidden_units=[8], seed=0).log_prob([[0.0, 0.0]]).shape
    TensorShape([1])

    References: Dinh, Krueger & Bengio (2015), "NICE: Non-linear Independent Components Estimation", arXiv:1410.8516.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 4,
        hidden_units: int | Sequence[int] = (128, 128),
        activation: Any = "relu",
        mask_type: str = "checkerboard",
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        parts = VectorParts(event_shape, Shift(), condition_shape, seed, dtype, network_dtype)
        network = partial(MLP, hidden_units=hidden_units, activation=activation)
        super().__init__(parts, self._layers_of(parts, num_layers, network, parts.mask_of(mask_type)), base, name)

    @staticmethod
    def _layers_of(parts: VectorParts, num_layers: int, network: Network, mask_of: MaskOf) -> Iterator[Bijector]:
        yield parts.elementwise(Affine(), "scale")
        for i, seed in enumerate(parts.seeds(num_layers)):
            yield parts.coupling(network, mask_of(parts.d, flip=i % 2 == 1), seed, f"coupling_{i}")
