"""BlockAutoregressive: one network for all elements, increasing in each by its weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, shapes
from tfp_nvp._roots import increasing_root
from tfp_nvp.bijectors._block_network import BlockDense, BlockWeights, evaluate
from tfp_nvp.bijectors.bijector import Bijector, Step

#: Largest |raw number| of a gate: slopes are at least 1 − sigmoid(4) = 0.018.
_LARGEST_GATE = 4.0


class BlockAutoregressive(Bijector):
    """One network for all elements of a vector, whose positive weights make it increase in each.

        zᵢ = (1 − gᵢ) xᵢ + gᵢ fᵢ(x₁, …, xᵢ; condition),    fᵢ increasing in xᵢ
        log_det = −Σᵢ log(1 − gᵢ + gᵢ ∂fᵢ/∂xᵢ),    of forward

    f is a network with tanh between its layers. Its units are in blocks, one for each element in every layer. Weights
    within a block are positive, those from earlier blocks and from the condition are any, those from later ones zero;
    the rows of each matrix are normalized, and scaled by weights. Logs of the derivatives within blocks are propagated
    beside the units. The gates gᵢ = sigmoid(weight), which start at 1/2, make the map one onto all real numbers:
    without them its range would be bounded, as tanh is.

    `inverse` evaluates the network once. `forward` solves for one element after the other, by a bracketed root whose
    bracket is known, as the network's last layer is bounded; each unit is evaluated for its own element only. So all
    of it costs about as much as some evaluations, and d short steps, with gradients that are right to third order.
    Reverse-mode gradients of `forward` hold d copies of the hidden units. `Invert` swaps the two directions.

    Args:
      event_shape: [d].
      hidden_units: units of each element in each hidden layer, an int for a single layer.
      condition_shape: shape of the condition, or None.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> layer = BlockAutoregressive([3], hidden_units=4, seed=0)
    >>> layer.inverse(layer.forward([[1.0, -2.0, 0.5]])).numpy().round(4).tolist()
    [[1.0, -2.0, 0.5]]

    References: De Cao, Titov & Aziz (2019), "Block Neural Autoregressive Flow", arXiv:1904.04676, section 3. The gate
    is applied to each element.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        hidden_units: int | Sequence[int] = 10,
        condition_shape: Any = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str = "block_autoregressive",
    ):
        event_shape = checks.vector_shape("event_shape", event_shape)
        super().__init__(event_shape=event_shape, condition_shape=condition_shape, dtype=dtype, name=name)
        (self._size,) = event_shape
        widths = [1, *checks.hidden_units("hidden_units", hidden_units), 1]
        rng = np.random.default_rng(checks.seed_or_random("seed", seed))
        self._network = [
            BlockDense(self._size, *units, self.condition_shape, rng, self.dtype.name)
            for units in itertools.pairwise(widths)
        ]
        self._raw_gates = tf.Variable(tf.zeros(self._size, self.dtype), name="raw_gates")

    def _forward_and_log_det(self, z: tf.Tensor, condition: tf.Tensor | None) -> Step:
        z, layers, batch = self._flat(z, condition)
        x = self._solve(z, layers)
        _, log_det = self._at(x, layers)
        return shapes.unflatten_batch(x, batch), shapes.unflatten_batch(-log_det, batch)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: tf.Tensor | None) -> Step:
        x, layers, batch = self._flat(x, condition)
        z, log_det = self._at(x, layers)
        return shapes.unflatten_batch(z, batch), shapes.unflatten_batch(log_det, batch)

    def _at(self, x: tf.Tensor, layers: list[BlockWeights]) -> Step:
        """z [n, d] and log |det ∂z/∂x| [n] of x [n, d]."""
        f, log_slopes, _ = evaluate(layers, x)
        z, log_slopes = _gated(self._gates, x, f, log_slopes)
        return z, tf.reduce_sum(log_slopes, axis=-1)

    def _solve(self, z: tf.Tensor, layers: list[BlockWeights]) -> tf.Tensor:
        """x of z, [n, d]: each step finds one more element, and the hidden units of its block."""
        gates = self._gates

        def step(i: tf.Tensor, x: tf.Tensor, *hidden: tf.Tensor) -> tuple[tf.Tensor, ...]:
            of_element = [layer.of_element(i, units) for layer, units in zip(layers, hidden, strict=True)]
            element = _Element(of_element, gates[i])
            root = element.solve(tf.gather(z, i, axis=1))
            new = [root[:, None], *evaluate(element.layers, root[:, None]).hidden]
            return i + 1, *(_put(units, i, block) for units, block in zip((x, *hidden), new, strict=True))

        hidden = [tf.zeros(tf.stack([tf.shape(z)[0], layer.below.shape[0]]), z.dtype) for layer in layers]
        return tf.while_loop(
            lambda i, *_: i < self._size,
            step,
            (tf.constant(0), tf.zeros_like(z), *hidden),
            maximum_iterations=self._size,
            parallel_iterations=1,
        )[1]

    @property
    def _gates(self) -> tf.Tensor:
        """Raw numbers of the gates, [d]."""
        return _LARGEST_GATE * tf.tanh(tf.convert_to_tensor(self._raw_gates) / _LARGEST_GATE)

    def _flat(
        self, value: tf.Tensor, condition: tf.Tensor | None
    ) -> tuple[tf.Tensor, list[BlockWeights], shapes.BatchShape]:
        """`value` [n, d], the weights at its conditions, and the batch shape."""
        value, condition, batch = shapes.flattened(value, 1, condition, self.condition_ndims)
        if condition is not None:
            condition = tf.reshape(condition, [tf.shape(condition)[0], -1])
        weights = [layer.weights_at(condition) for layer in self._network]
        return tf.ensure_shape(value, [None, self._size]), weights, batch


def _put(units: tf.Tensor, i: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
    """`units` [n, d k], zero in block i, with `block` [n, k] there."""
    size = block.shape[1]
    here = tf.one_hot(i, units.shape[1] // size, dtype=units.dtype)
    added = tf.reshape(here[:, None] * block[:, None, :], tf.shape(units))
    return tf.ensure_shape(units + added, units.shape)


class _Element:
    """zᵢ as a function of xᵢ, given the elements before it."""

    def __init__(self, layers: list[BlockWeights], gate: tf.Tensor):
        self.layers, self._gate = layers, gate

    def at(self, x: tf.Tensor) -> Step:
        """zᵢ and its derivative, [n]."""
        f, log_slopes, _ = evaluate(self.layers, x[:, None])
        z, log_slopes = _gated(self._gate, x, f[:, 0], log_slopes[:, 0])
        return z, tf.exp(log_slopes)

    def solve(self, z: tf.Tensor) -> tf.Tensor:
        """xᵢ [n] of zᵢ [n]: fᵢ differs from its offset by at most the sum of its positive weights."""
        last, odds = self.layers[-1], tf.exp(self._gate)
        center = z / tf.sigmoid(-self._gate) - odds * last.offset[:, 0]
        reach = 1.01 * odds * tf.reduce_sum(tf.exp(last.log_blocks))
        return increasing_root(self.at, z, center - reach, center + reach)


def _gated(gate: tf.Tensor, x: tf.Tensor, f: tf.Tensor, log_slopes: tf.Tensor) -> Step:
    """(1 − g) x + g f and the log of its derivative, g the sigmoid of `gate`."""
    log_g, log_rest = tf.math.log_sigmoid(gate), tf.math.log_sigmoid(-gate)
    log_terms = tf.stack([log_rest + tf.zeros_like(log_slopes), log_g + log_slopes])
    return tf.exp(log_rest) * x + tf.exp(log_g) * f, tf.reduce_logsumexp(log_terms, axis=0)
