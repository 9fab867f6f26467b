"""MAF: masked autoregressive flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Chain
from tfp_nvp.distributions import Flow
from tfp_nvp.flows.recipe import autoregressive_layers, base_of, known_seed
from tfp_nvp.transformers import Affine, Transformer

tfd = tfp.distributions


class MAF(Flow):
    """Masked autoregressive flow: each element's distribution is shaped by the elements before it.

    The density costs one evaluation of every network, a sample one evaluation and d short steps for
    each (`bijectors.Autoregressive`). With `transformer=RationalQuadratic(...)` it is the
    autoregressive neural spline flow, RQ-NSF (AR). ActNorm stands between the layers,
    where the paper has batch normalization.

    Args:
      event_shape: [d].
      num_layers: number of autoregressive layers, at least 1.
      hidden_units: widths of each network's hidden layers; with `num_blocks`, one width.
      num_blocks: None for the plain masked network of the paper, or a number of residual
        blocks (`conditioners.ResidualMADE`).
      activation: a Keras activation that works on each number alone.
      transformer: what maps each element; affine as in the paper.
      order: "reversed" turns the order of the elements around from layer to layer, as in the
        paper; "random" draws a new order for every layer but the first.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for the standard normal.
      seed: an int for reproducible orders and initial weights.
      dtype: of weights and values.

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
        name: str = "maf",
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
        )
        super().__init__(base_of(base, event_shape, dtype), Chain(layers), name=name)
