"""IAF: inverse autoregressive flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Chain, Invert
from tfp_nvp.distributions import Flow
from tfp_nvp.flows.recipe import autoregressive_layers, base_of, known_seed
from tfp_nvp.transformers import Affine, Transformer

tfd = tfp.distributions


class IAF(Flow):
    """Inverse autoregressive flow: each element of x is shaped by the elements of z before its own.

    A sample, with its density, costs one evaluation of every network: the flow for variational
    inference. The density of a given x costs one evaluation and d short steps for each. Each layer
    is one of `MAF` turned around, so it applies the transformer's inverse: for the affine
    one, x = (z − t) exp(−s), which is the paper's family with s and t renamed.

    Args:
      event_shape: [d].
      num_layers: number of autoregressive layers, at least 1.
      hidden_units: widths of each network's hidden layers; with `num_blocks`, one width.
      num_blocks: None for the plain masked network of the paper, or a number of residual
        blocks (`conditioners.ResidualMADE`).
      activation: a Keras activation that works on each number alone.
      transformer: whose inverse maps each element; affine as in the paper.
      order: "reversed" turns the order of the elements around from layer to layer, as in the
        paper; "random" draws a new order for every layer but the first.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible orders and initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> IAF([3], num_layers=2, hidden_units=[8], seed=0).sample(2, seed=1).shape
    TensorShape([2, 3])

    References: Kingma, Salimans, Jozefowicz, Chen, Sutskever & Welling (2016), "Improved
    Variational Inference with Inverse Autoregressive Flow", arXiv:1606.04934.
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
        name: str = "iaf",
    ):
        seed = known_seed(seed)
        event_shape = checks.vector_shape("event_shape", event_shape)
        transformer = (
            Affine()
            if transformer is None
            else checks.instance("transformer", transformer, Transformer, "tfp_nvp.transformers.RationalQuadratic()")
        )
        layers = autoregressive_layers(
            transformer,
            event_shape,
            num_layers=num_layers,
            hidden_units=hidden_units,
            num_blocks=num_blocks,
            activation=activation,
            order=order,
            condition_shape=condition_shape,
            seed=seed,
            dtype=dtype,
            arrange=Invert,
        )
        super().__init__(base_of(base, event_shape, dtype), Chain(layers), name=name)
