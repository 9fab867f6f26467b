"""Invertible residual layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, shapes
from tfp_nvp._contraction import fixed_point
from tfp_nvp._estimates import needs_log_det, seed_for
from tfp_nvp.bijectors import _trace_series
from tfp_nvp.bijectors._network import connect
from tfp_nvp.bijectors.bijector import Bijector, Step
from tfp_nvp.conditioners._lipschitz import LipschitzNetwork


class Residual(Bijector):
    """The identity plus a network that changes less than its input: every number can move with every other.

        z = x + g(x, condition)
        log_det = −log det(I + ∂g/∂x)

    g has a Lipschitz constant below 1, so that the map is one to one. `inverse`, and with it a density, is one pass.
    `forward` finds x as the fixed point of x ← z − g(x), by as many evaluations of g as it takes for x to move by
    rounding only: then |x + g(x) − z| is of that size, and the error of x at most 1 / (1 − lipschitz) times as
    large. Its derivatives are those of the implicit function theorem, to any order.

    The log-det is exact for events of up to `max_exact` numbers, from the Jacobian. For larger ones it is an estimate
    by a series of traces (`has_exact_log_det` is False): `num_terms` terms, of `num_probes` vectors of signs, the same
    for all events; where estimates are drawn from a seed, in training and by `flow.log_prob(x, seed=)`, it is unbiased,
    from a series that ends at random after at least `num_certain_terms`. `flow.log_prob_and_error` tells the error.

    Args:
      conditioner: g, `conditioners.LipschitzMLP` for vectors, `conditioners.LipschitzConvNet` for images, of the same
        dtype.
      event_shape: [d] or [h, w, c].
      condition_shape: shape of the condition, or None.
      max_exact: the largest event, in numbers, with an exact log-det, which costs as many evaluations of g as there
        are numbers, and memory for as many copies of the batch. An estimate costs `num_terms` times `num_probes`.
      num_terms: of the series without a seed, at least 1. The terms left out are at most
        lipschitz^(num_terms + 1) / ((num_terms + 1) (1 − lipschitz)) per number of the event.
      num_probes: vectors of signs without a seed, a power of 2: rows of a Hadamard matrix times random signs, by which
        numbers of the event that are less than `num_probes` apart do not disturb each other; no others do if there are
        as many as numbers.
      num_certain_terms: of the series that ends at random, at least 1. More reduce the variance.
      seed: of the random signs, at least 0. Layers of one flow should have different ones.
      dtype: of values.

    Raises:
      TypeError, ValueError: if an argument is out of its range, or the conditioner does not fit.

    >>> from tfp_nvp import conditioners
    >>> layer = Residual(conditioners.LipschitzMLP(hidden_units=[8]), [3])
    >>> layer.forward(tf.ones([5, 3])).shape
    TensorShape([5, 3])

    References: Behrmann, Grathwohl, Chen, Duvenaud & Jacobsen (2019), "Invertible Residual Networks",
    arXiv:1811.00995, theorem 1, algorithm 1 and equation 4; Chen, Behrmann, Duvenaud & Jacobsen (2019), "Residual
    Flows for Invertible Generative Modeling", arXiv:1906.02735, equations 6 and 8.
    """

    def __init__(
        self,
        conditioner: LipschitzNetwork,
        event_shape: Any,
        *,
        condition_shape: Any = None,
        max_exact: int = 32,
        num_terms: int = 20,
        num_probes: int = 8,
        num_certain_terms: int = 4,
        seed: int = 0,
        dtype: Any = "float32",
        name: str = "residual",
    ):
        checks.instance("conditioner", conditioner, LipschitzNetwork, "tfp_nvp.conditioners.LipschitzMLP()")
        event_shape = checks.shape("event_shape", event_shape, min_rank=1)
        super().__init__(event_shape=event_shape, condition_shape=condition_shape, dtype=dtype, name=name)
        if not conditioner.compute_dtype == conditioner.variable_dtype == self.dtype.name:
            raise ValueError(
                f"`conditioner` must have the layer's dtype, {self.dtype.name}; got {conditioner.dtype_policy.name}. "
                f'Give it dtype="{self.dtype.name}".'
            )
        self._event, self._size = event_shape, math.prod(event_shape)
        self._max_exact = checks.integer("max_exact", max_exact, 0)
        self.num_terms = checks.integer("num_terms", num_terms, 1)
        self._num_certain_terms = checks.integer("num_certain_terms", num_certain_terms, 1)
        self._seed = checks.integer("seed", seed, 0)
        self._probes = _probes(num_probes, event_shape, self._seed)
        self.conditioner = connect(conditioner, event_shape, self.condition_shape, event_shape[-1], self.dtype)

    @property
    def has_exact_log_det(self) -> bool:
        return self._size <= self._max_exact

    def _forward_and_log_det(self, z: tf.Tensor, condition: tf.Tensor | None) -> Step:
        z, condition, batch = self._flat(z, condition)
        tensors = self.conditioner.tensors()
        conditions = () if condition is None else (condition,)

        def step(x: tf.Tensor, z: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
            condition, numbers = (None, others) if not conditions else (others[0], others[1:])
            return z - self.conditioner.evaluate(x, condition, list(numbers))

        scale = 1.0 + tf.reduce_max(tf.abs(z), axis=list(range(1, z.shape.rank)))
        x = fixed_point(step, z, (z, *conditions, *tensors), scale=scale, rate=self.conditioner.lipschitz)
        _, log_det = self._residual(x, condition, tensors)
        return shapes.unflatten_batch(x, batch), -shapes.unflatten_batch(log_det, batch)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: tf.Tensor | None) -> Step:
        x, condition, batch = self._flat(x, condition)
        g, log_det = self._residual(x, condition, self.conditioner.tensors())
        return shapes.unflatten_batch(x + g, batch), shapes.unflatten_batch(log_det, batch)

    def _residual(self, x: tf.Tensor, condition: tf.Tensor | None, tensors: list[tf.Tensor]) -> Step:
        """g of x [n, *event], and log det(I + ∂g/∂x) [n]."""

        def network(x: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
            return self.conditioner.evaluate(x, condition, tensors)

        if not needs_log_det():
            return network(x, condition), tf.zeros([tf.shape(x)[0]], x.dtype)
        if self.has_exact_log_det:
            return _trace_series.exact(network, x, condition)
        seed = seed_for(self._seed)
        if seed is not None:
            return self._drawn(x, condition, tensors, seed)
        return _trace_series.fixed(network, x, condition, tf.constant(self._probes, self.dtype), self.num_terms)

    def _drawn(self, x: tf.Tensor, condition: tf.Tensor | None, tensors: list[tf.Tensor], seed: tf.Tensor) -> Step:
        """As `_residual`, by the series that ends at random."""
        conditions = [] if condition is None else [condition]

        def network(x: tf.Tensor, *inputs: tf.Tensor) -> tf.Tensor:
            given, numbers = inputs[: len(conditions)], inputs[len(conditions) :]
            return self.conditioner.evaluate(x, given[0] if given else None, list(numbers))

        return _trace_series.roulette(network, x, [*conditions, *tensors], seed, self._num_certain_terms)

    def _flat(self, value: tf.Tensor, condition: tf.Tensor | None) -> tuple[tf.Tensor, Any, shapes.BatchShape]:
        """Value and condition with one batch dimension, and the batch shape of both."""
        value, condition, batch = shapes.flattened(value, self.forward_min_event_ndims, condition, self.condition_ndims)
        return tf.ensure_shape(value, [None, *self._event]), condition, batch


def _probes(count: int, event_shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Vectors of signs [count, *event], whose mean of v vᵀ is the identity but between numbers `count`, 2 `count`, …
    apart."""
    checks.integer("num_probes", count, 1)
    if count & (count - 1):
        raise ValueError(f"`num_probes` must be a power of 2; got {count}.")
    size = math.prod(event_shape)
    count = min(count, 1 << (size - 1).bit_length())  # as many as there are numbers leave nothing to disturb
    common = np.arange(count)[:, None] & np.arange(size)
    for shift in (32, 16, 8, 4, 2, 1):  # an entry of Sylvester's Hadamard matrix is the parity of the common bits
        common ^= common >> shift
    signs = (2 * np.random.default_rng(seed).integers(2, size=size) - 1) * (1 - 2 * (common & 1))
    return signs.reshape(count, *event_shape)
