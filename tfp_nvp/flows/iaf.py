"""IAF: inverse autoregressive flows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfp_nvp.bijectors import ActNorm, Bijector, Invert, Permute
from tfp_nvp.flows.maf import MAF


class IAF(MAF):
    """Inverse autoregressive flow: the map of each element depends on the elements of z before it.

    A sample, with its density, costs one evaluation of every network, as variational inference needs. The density of a
    given x costs one evaluation and d short steps for each. Each layer is the inverse of one of `MAF`, so it applies
    the transformer's inverse: for the affine one, x = (z − t) exp(−s), which is the paper's family with s and t
    renamed.

    Args:
      event_shape: [d].
      num_layers: number of autoregressive layers, at least 1.
      hidden_units: widths of each network's hidden layers, an int for a single layer; with `num_blocks`, one width.
      num_blocks: None for the plain masked network of the paper, or a number of residual
        blocks (`conditioners.ResidualMADE`).
      activation: a Keras activation that works on each number alone.
      transformer: whose inverse maps each element; affine as in the paper.
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

    >>> IAF([3], num_layers=2, hidden_units=[8], seed=0).sample(2, seed=1).shape
    TensorShape([2, 3])

    References: Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling (2016), "Improved
    Variational Inference with Inverse Autoregressive Flow", arXiv:1606.04934.
    """

    def _layers_of(self, *arguments: Any) -> Iterator[Bijector]:
        for layer in super()._layers_of(*arguments):
            yield layer if isinstance(layer, (ActNorm, Permute)) else Invert(layer)
