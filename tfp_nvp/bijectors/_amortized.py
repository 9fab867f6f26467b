"""The base of maps of a whole vector that a few numbers shape."""

from __future__ import annotations

import abc
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors._network import connect, raw_numbers
from tfp_nvp.bijectors.bijector import Bijector, Step
from tfp_nvp.conditioners import MLP


class Amortized(Bijector):
    """A map of vectors [d] shaped by p numbers, which are weights, or weights plus a network's output.

        raw = weights + network(condition)

    A subclass draws where the weights start, in `_start`, and writes `_map` and `_inverse_map`. The last layer of the
    network starts at zero.

    Args:
      event_shape: [d].
      conditioner: a Keras layer from the condition, [n, 0] and [n, ...] → [n, p]; by default `conditioners.MLP()` where
        there is a `condition_shape`.
      condition_shape: shape of the condition, or None.
      seed: of the weights and the default conditioner; None for a random one.
      dtype: of weights and values.
      name: name of its ops; None for the class's.

    References: Rezende & Mohamed (2015), "Variational Inference with Normalizing Flows", arXiv:1505.05770, section 4.2,
    for parameters from a network.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        conditioner: keras.layers.Layer | None = None,
        condition_shape: Any = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        event_shape = checks.vector_shape("event_shape", event_shape)
        name = name or type(self).__name__.lower()
        super().__init__(event_shape=event_shape, condition_shape=condition_shape, dtype=dtype, name=name)
        (self._size,) = event_shape
        seed = checks.seed_or_random("seed", seed)
        start = self._start(np.random.default_rng(seed))
        self._raw = tf.Variable(tf.constant(start, self.dtype), name="raw")
        if self.condition_shape is None and conditioner is not None:
            raise ValueError(f"`conditioner` needs a condition: give {name} a `condition_shape`, or leave it out.")
        self.conditioner = None
        if self.condition_shape is not None:
            network = MLP(seed=seed, dtype=self.dtype.name) if conditioner is None else conditioner
            self.conditioner = connect(network, (0,), self.condition_shape, len(start), self.dtype)

    @abc.abstractmethod
    def _start(self, rng: np.random.Generator) -> np.ndarray:
        """The numbers [p] at first."""

    @abc.abstractmethod
    def _map(self, z: tf.Tensor, raw: tf.Tensor) -> Step:
        """x [..., d] and log |det ∂x/∂z| of z [..., d] and raw [..., p]."""

    @abc.abstractmethod
    def _inverse_map(self, x: tf.Tensor, raw: tf.Tensor) -> Step:
        """z [..., d] and log |det ∂x/∂z| **at that z**, the negative of the inverse's, of x and raw."""

    def _forward_and_log_det(self, z: tf.Tensor, condition: tf.Tensor | None) -> Step:
        return self._map(z, self._numbers(z, condition))

    def _inverse_and_log_det(self, x: tf.Tensor, condition: tf.Tensor | None) -> Step:
        z, log_det = self._inverse_map(x, self._numbers(x, condition))
        return z, -log_det

    def _numbers(self, value: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """raw [p], or [..., p] for the batch of value and condition."""
        raw = tf.convert_to_tensor(self._raw)
        if self.conditioner is None:
            return raw
        outputs = raw_numbers(
            self.conditioner,
            value[..., :0],
            condition,
            event_ndims=1,
            condition_ndims=self.condition_ndims,
            num_parameters=1,
        )
        return raw + outputs[0]


def above_minus_one(raw: tf.Tensor) -> tf.Tensor:
    """An increasing map of the real line onto (−0.999, ∞), the identity above 0: a slope of 1 plus it stays positive.

    m(a) = a for a ≥ 0, else c (exp(a / c) − 1), c = 0.999. Unlike the softplus of the papers, m(0) = 0 and m'(0) = 1,
    so that a map starts as the identity, and what a network asks for is what it gets wherever that is invertible.
    """
    c = 0.999
    return tf.maximum(raw, 0.0) + c * tf.math.expm1(tf.minimum(raw, 0.0) / c)
