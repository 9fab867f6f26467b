"""RealNVP: affine couplings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Bijector, Permute
from tfp_nvp.conditioners import MLP, Separate
from tfp_nvp.flows._recipe import Network
from tfp_nvp.flows._vector_recipe import MaskOf, VectorParts, VectorRecipe
from tfp_nvp.transformers import Affine, Transformer

tfd = tfp.distributions


class RealNVP(VectorRecipe):
    """Affine couplings that transform the two halves in turn, each after an ActNorm.

    Every pair of couplings has the elements in a new random order. ActNorm replaces the paper's batch normalization,
    as in Glow (Kingma & Dhariwal 2018, arXiv:1807.03039): the density of a point does not depend on other points.

    Args:
      event_shape: [d].
      num_layers: number of couplings, at least 1.
      hidden_units: widths of each conditioner's hidden layers; an int for a single layer.
      activation: a Keras activation.
      separate_networks: whether each raw number has a network of its own, such as scale and translation
        (`conditioners.Separate`); or all have one.
      transformer: of each coupling; affine as in the paper.
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

    >>> RealNVP([2], num_layers=2, hidden_units=[8], seed=0).sample(3, seed=1).shape
    TensorShape([3, 2])

    References: Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP", arXiv:1605.08803.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 8,
        hidden_units: int | Sequence[int] = (128, 128),
        activation: Any = "relu",
        separate_networks: bool = False,
        transformer: Transformer | None = None,
        mask_type: str = "channel",
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        transformer = Affine() if transformer is None else transformer
        parts = VectorParts(event_shape, transformer, condition_shape, seed, dtype, network_dtype)
        network: Network = partial(MLP, hidden_units=hidden_units, activation=activation)
        if checks.flag("separate_networks", separate_networks):
            network = partial(_separate, network, transformer)
        super().__init__(parts, self._layers_of(parts, num_layers, network, parts.mask_of(mask_type)), base, name)

    @staticmethod
    def _layers_of(parts: VectorParts, num_layers: int, network: Network, mask_of: MaskOf) -> Iterator[Bijector]:
        for i, seed in enumerate(parts.seeds(num_layers)):
            if i % 2 == 0 and i > 0 and parts.d > 2:
                yield Permute.random(parts.d, seed, name=f"permute_{i}")
            yield parts.act_norm(f"act_norm_{i}")
            yield parts.coupling(network, mask_of(parts.d, flip=i % 2 == 1), seed, f"coupling_{i}")


def _separate(network: Network, transformer: Transformer, *, seed: int, dtype: Any) -> Separate:
    """A network for each raw number of a transformer."""
    return Separate([network(seed=seed + 1000 * i, dtype=dtype) for i in range(transformer.num_parameters)])
