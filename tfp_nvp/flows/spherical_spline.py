"""Spline couplings on the sphere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors import AroundAxis, Bijector, Chain, Coupling, Permute
from tfp_nvp.conditioners import PeriodicFeatures, ResidualMLP
from tfp_nvp.conditioners._polar import Polar
from tfp_nvp.flows._recipe import Network
from tfp_nvp.flows._vector_recipe import VectorParts, VectorRecipe
from tfp_nvp.transformers import CircularSpline, RationalQuadratic

tfd = tfp.distributions


class SphericalSplineFlow(VectorRecipe):
    """Densities of unit vectors of R³, per unit of the sphere's surface.

    A layer takes height and longitude around one axis: a spline of the height by the longitude, then a circular spline
    of the longitude by the height. The next layer takes another of the three axes. The density is continuous
    everywhere: a spline of heights has slope one at the poles, and one of longitudes is the identity there. The base is
    uniform, of density 1 / 4π.

    Vectors of another length count as their directions.

    Args:
      event_shape: [3].
      num_layers: number of layers, at least 1; three take every axis once.
      hidden_units: width of each conditioner, a residual network.
      num_blocks: residual blocks of each conditioner.
      activation: a Keras activation.
      dropout: rate in [0, 1) within the conditioners while training.
      num_bins: of all splines, at least 2.
      condition_shape: shape of the condition, or None.
      base: a `tfd.Distribution` on the sphere; None for `tfd.SphericalUniform(3)`.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = SphericalSplineFlow([3], num_layers=3, hidden_units=8, seed=0)
    >>> round(float(flow.log_prob([0.0, 0.6, 0.8])), 3)  # -log 4π
    -2.531

    References: Rezende, Papamakarios, Racanière, Albergo, Kanwar, Shanahan & Cranmer (2020), "Normalizing Flows on Tori
    and Spheres", arXiv:2002.02428, section 2.3.
    """

    def __init__(
        self,
        event_shape: Any = (3,),
        *,
        num_layers: int = 6,
        hidden_units: int = 64,
        num_blocks: int = 2,
        activation: Any = "relu",
        dropout: float = 0.0,
        num_bins: int = 8,
        condition_shape: Any = None,
        base: tfd.Distribution | None = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        parts = VectorParts(event_shape, None, condition_shape, seed, dtype)
        if parts.d != 3:
            raise ValueError(f"`event_shape` must be [3], of unit vectors; got {list(parts.event_shape)}.")
        network = partial(
            ResidualMLP, hidden_units=hidden_units, num_blocks=num_blocks, activation=activation, dropout=dropout
        )
        super().__init__(parts, self._layers_of(parts, num_layers, network, num_bins), base, name)

    @classmethod
    def _default_base(cls, size: int, dtype: tf.DType) -> tfd.Distribution:
        return tfd.SphericalUniform(size, dtype=dtype)

    @staticmethod
    def _layers_of(parts: VectorParts, num_layers: int, network: Network, num_bins: int) -> Iterator[Bijector]:
        heights, longitudes = RationalQuadratic(num_bins=num_bins, bound=1.0), CircularSpline(num_bins=num_bins)
        keeps_height = np.array([True, False])
        for i, seed in enumerate(parts.seeds(num_layers)):
            of_height, of_longitude = (network(seed=seed + k, dtype=parts.policy) for k in (0, 1))
            seen = PeriodicFeatures(of_longitude, [True])
            around = [
                Coupling(longitudes, Polar(of_height), keeps_height, name=f"longitude_{i}", **parts.shared),
                Coupling(heights, seen, ~keeps_height, name=f"height_{i}", **parts.shared),
            ]
            yield AroundAxis(Chain(around, name=f"cylinder_{i}"), name=f"around_axis_{i}")
            yield Permute([1, 2, 0], name=f"axes_{i}")
