"""BlockNAF: block neural autoregressive flows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp.bijectors import Bijector, BlockAutoregressive, Reverse
from tfp_nvp.flows._vector_recipe import VectorParts, VectorRecipe

tfd = tfp.distributions


class BlockNAF(VectorRecipe):
    """Block neural autoregressive flow: each layer is one network, increasing in every element by its weights.

    The density costs one evaluation of every network, with the logs of its derivatives; a sample d scalar roots for
    each (`bijectors.BlockAutoregressive`). The order of the elements is reversed from layer to layer, as in the paper.
    ActNorm between the layers keeps what enters a network within the range of its units.

    Args:
      event_shape: [d].
      num_layers: number of networks, at least 1.
      hidden_units: units of **each element** in each hidden layer of every network, an int for a single layer.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> BlockNAF([3], num_layers=2, hidden_units=4, seed=0).log_prob([[0.0, 0.0, 0.0]]).shape
    TensorShape([1])

    References: De Cao, Titov & Aziz (2019), "Block Neural Autoregressive Flow", arXiv:1904.04676.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 5,
        hidden_units: int | Sequence[int] = 10,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        parts = VectorParts(event_shape, None, condition_shape, seed, dtype)
        super().__init__(parts, _layers(parts, num_layers, hidden_units), base, name)


def _layers(parts: VectorParts, num_layers: int, hidden_units: int | Sequence[int]) -> Iterator[Bijector]:
    for i, seed in enumerate(parts.seeds(num_layers)):
        if i > 0 and parts.d > 1:
            yield Reverse(name=f"reverse_{i}")
        yield parts.act_norm(f"act_norm_{i}")
        yield BlockAutoregressive(
            parts.event_shape, hidden_units=hidden_units, seed=seed, name=f"block_autoregressive_{i}", **parts.shared
        )
