"""Circular spline flows, of angles and of angles beside real numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, masks
from tfp_nvp.bijectors import Bijector, InvertibleLinear, Subvector
from tfp_nvp.conditioners import PeriodicFeatures, ResidualMLP
from tfp_nvp.distributions import TorusNormal
from tfp_nvp.flows._recipe import Network
from tfp_nvp.flows._vector_recipe import VectorParts, VectorRecipe
from tfp_nvp.transformers import CircularSpline, RationalQuadratic, Transformer

tfd = tfp.distributions


class CircularSplineFlow(VectorRecipe):
    """Spline couplings of angles [−π, π), and of real numbers beside them.

    A layer is a coupling of half of the real numbers, after a learned linear map of these, and a coupling of half of
    the angles. Each sees all elements that it keeps, angles as cosine and sine, so the density is continuous all
    around every circle. The base is uniform in angles and normal in the others.

    For angles in other units put `bijectors.Circle` in front; `tfp_nvp.fit(x, periodic=...)` does.

    Args:
      event_shape: [d].
      circular: booleans [d], which elements are angles; by default all.
      num_layers: number of layers, at least 1.
      hidden_units: width of each conditioner, a residual network; an int, or a list of equal ones.
      num_blocks: residual blocks of each conditioner.
      activation: a Keras activation.
      dropout: rate in [0, 1) within the conditioners while training.
      transformer: of angles, on the circle [−π, π); `CircularSpline()` by default.
      real_transformer: of real numbers; a `RationalQuadratic` spline of 8 bins on [-5, 5] by default.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` over events [d]; None for `distributions.TorusNormal(circular)`.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.
      network_dtype: of the conditioners; by default the flow's, or Keras' global policy if that is mixed.
        "mixed_bfloat16" computes them in bfloat16: the flow stays exact (docs/performance.md).

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> CircularSplineFlow([3], circular=[True, True, False], num_layers=2, hidden_units=8, seed=0).sample(3).shape
    TensorShape([3, 3])

    References: Rezende, Papamakarios, Racanière, Albergo, Kanwar, Shanahan & Cranmer (2020), "Normalizing Flows on Tori
    and Spheres", arXiv:2002.02428, sections 2.1.2 and 2.2.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        circular: Any = None,
        num_layers: int = 6,
        hidden_units: int | Sequence[int] = 128,
        num_blocks: int = 2,
        activation: Any = "relu",
        dropout: float = 0.0,
        transformer: Transformer | None = None,
        real_transformer: Transformer | None = None,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        network_dtype: Any = None,
        name: str | None = None,
    ):
        transformer = CircularSpline() if transformer is None else transformer
        real_transformer = RationalQuadratic() if real_transformer is None else real_transformer
        _check_domain("transformer", transformer, (-math.pi, math.pi), "the circle [−π, π)", "CircularSpline()")
        _check_domain("real_transformer", real_transformer, (-math.inf, math.inf), "all real numbers", "Affine()")
        parts = VectorParts(event_shape, transformer, condition_shape, seed, dtype, network_dtype)
        circular = _checked_circular(circular, parts.d)
        network = partial(
            ResidualMLP, hidden_units=hidden_units, num_blocks=num_blocks, activation=activation, dropout=dropout
        )
        groups = [(real_transformer, np.flatnonzero(~circular)), (transformer, np.flatnonzero(circular))]
        layers = self._layers_of(parts, circular, [group for group in groups if len(group[1])], num_layers, network)
        base = TorusNormal(circular, dtype=tf.as_dtype(dtype)) if base is None else base
        super().__init__(parts, layers, base, name)

    @staticmethod
    def _layers_of(
        parts: VectorParts,
        circular: np.ndarray,
        groups: list[tuple[Transformer, np.ndarray]],
        num_layers: int,
        network: Network,
    ) -> Iterator[Bijector]:
        reals = int((~circular).sum())
        if reals:
            yield Subvector(parts.act_norm("act_norm", (reals,)), ~circular)
        for i, seed in enumerate(parts.seeds(num_layers)):
            if reals > 1:
                start = seed if reals > 2 else None
                linear = InvertibleLinear([reals], seed=start, dtype=parts.dtype, name=f"linear_{i}")
                yield Subvector(linear, ~circular)
            for number, (transformer, elements) in enumerate(groups):
                kept = np.ones(parts.d, bool)
                kept[elements[~masks.half(len(elements), flip=i % 2 == 1)] if len(elements) > 1 else elements] = False
                name = f"coupling_{i}" if len(groups) == 1 else f"coupling_{i}_{('reals', 'angles')[number]}"
                yield parts.coupling(_seeing(network, circular[kept]), kept, seed + number, name, transformer)


def _seeing(network: Network, circular: np.ndarray) -> Network:
    """The maker of a network that sees the angles among its inputs as cosine and sine."""

    def make(**arguments: Any) -> keras.layers.Layer:
        made = network(**arguments)
        return PeriodicFeatures(made, circular) if circular.any() else made

    return make


def _check_domain(name: str, transformer: Any, domain: tuple[float, float], of: str, example: str) -> None:
    """Raises an error if `transformer` is none, or takes another domain onto itself."""
    checks.instance(name, transformer, Transformer, f"tfp_nvp.transformers.{example}")
    if not np.allclose(transformer.domain, domain):
        low, high = transformer.domain
        raise ValueError(
            f"`{name}` must map {of}; {checks.shown(transformer)} maps the numbers from {low:g} to {high:g}. Use such "
            f"as tfp_nvp.transformers.{example}."
        )


def _checked_circular(circular: Any, d: int) -> np.ndarray:
    mask = np.ones(d, bool) if circular is None else checks.mask("circular", circular, 1)
    if mask.shape != (d,):
        raise ValueError(f"`circular` must be {d} booleans, one for each element; got {circular!r}.")
    return mask
