"""MAF: masked autoregressive flows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Bijector, Permute
from tfp_nvp.conditioners import MADE, ResidualMADE
from tfp_nvp.flows._recipe import Network
from tfp_nvp.flows._vector_recipe import VectorParts, VectorRecipe
from tfp_nvp.transformers import Affine, Transformer

tfd = tfp.distributions

#: How the order of the elements changes from one autoregressive layer to the next.
ORDERS = ("reversed", "random", "same")


class MAF(VectorRecipe):
    """Masked autoregressive flow: the distribution of each element depends on the elements before it.

    The density costs one evaluation of every network, a sample one evaluation and d short steps for each
    (`bijectors.Autoregressive`). With `transformer=RationalQuadratic(...)` it is the autoregressive neural spline
    flow, RQ-NSF (AR). ActNorm between the layers replaces the paper's batch normalization.

    Args:
      event_shape: [d].
      num_layers: number of autoregressive layers, at least 1.
      hidden_units: widths of each network's hidden layers, an int for a single layer; with `num_blocks`, one width.
      num_blocks: None for the plain masked network of the paper, or a number of residual
        blocks (`conditioners.ResidualMADE`).
      activation: a Keras activation that works on each number alone.
      transformer: of each element; affine as in the paper.
      order: "reversed" reverses the order of the elements from layer to layer, as in the
        paper; "random" draws a new order for every layer but the first; "same" keeps one order, so that an element
        never depends on a later one.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible orders and initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners; by default the flow's, or Keras' global policy if that is mixed.
        "mixed_bfloat16" computes them in bfloat16: the flow stays exact (docs/performance.md).

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> MAF([3], num_layers=2, hidden_units=[8], seed=0).log_prob([[0.0, 0.0, 0.0]]).shape
    TensorShape([1])

    References: Papamakarios, Pavlakou & Murray (2017), "Masked Autoregressive Flow for Density
    Estimation", arXiv:1705.07057; Durkan, Bekasov, Murray & Papamakarios (2019), "Neural
    Spline Flows", arXiv:1906.04032, section 3.3.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_layers: int = 5,
        hidden_units: int | Sequence[int] = (128, 128),
        num_blocks: int | None = None,
        activation: Any = "relu",
        transformer: Transformer | None = None,
        order: str = "reversed",
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        order = checks.choice("order", order, ORDERS)
        transformer = Affine() if transformer is None else transformer
        parts = VectorParts(event_shape, transformer, condition_shape, seed, dtype, network_dtype)
        network = partial(_masked_network(hidden_units, num_blocks), activation=activation)
        super().__init__(parts, self._layers_of(parts, num_layers, network, order), base, name)

    def _layers_of(self, parts: VectorParts, num_layers: int, network: Network, order: str) -> Iterator[Bijector]:
        for i, seed in enumerate(parts.seeds(num_layers)):
            if order == "random" and i > 0 and parts.d > 1:
                yield Permute.random(parts.d, seed, name=f"permute_{i}")
            yield parts.act_norm(f"act_norm_{i}")
            elements = range(parts.d)[::-1] if order == "reversed" and i % 2 else None
            yield parts.autoregressive(partial(network, order=elements), seed, f"autoregressive_{i}")


def _masked_network(hidden_units: int | Sequence[int], num_blocks: int | None) -> Network:
    """Plain masked networks, or residual ones, whose layers are of one width."""
    if num_blocks is None:
        return partial(MADE, hidden_units=checks.hidden_units("hidden_units", hidden_units))
    return partial(ResidualMADE, hidden_units=checks.width("hidden_units", hidden_units), num_blocks=num_blocks)
