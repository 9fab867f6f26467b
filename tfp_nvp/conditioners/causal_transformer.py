"""A transformer whose tokens see those before them, as conditioner of autoregressive layers."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._finite import held
from tfp_nvp.conditioners._conditioner import Conditioner
from tfp_nvp.conditioners._joining import join, joined_size
from tfp_nvp.conditioners._layer_normalization import LayerNormalization


@keras.saving.register_keras_serializable("tfp_nvp")
class CausalTransformer(Conditioner):
    """Self-attention over the tokens of a vector: the raw numbers of a token see the tokens before it, and no other.

    A vector of d numbers is `num_tokens` tokens of d / num_tokens numbers each, one after the other.

        h_t = W x_{t−1} + position_t + V condition,    h_1 without x
        h ← h + attention(norm(h)),  h ← h + mlp(norm(h))    for each block
        outputs = U norm(h),  with U zero at first

    Its Jacobian is strictly triangular in blocks, so a `bijectors.Autoregressive` layer solves it in `num_tokens`
    evaluations: the numbers of a token are found at once.

    Args:
      num_outputs: raw numbers per event, `transformer.num_parameters` times d; None for as many as its layer needs.
      num_tokens: at least 1; it must divide d.
      hidden_units: width of the network, a multiple of `num_heads`.
      num_blocks: blocks of attention and MLP, at least 1; the MLP's hidden layer is four times as wide.
      num_heads: of the attention, at least 1.
      activation: of the MLPs, a Keras activation.
      seed: an int for reproducible initial weights.
      dtype: a Keras dtype or dtype policy.

    Shapes: inputs [n, d] and condition [n, ...] → [n, num_outputs].

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> CausalTransformer(12, num_tokens=3, hidden_units=8, num_heads=2)(keras.ops.ones([5, 6])).shape
    TensorShape([5, 12])

    References: Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762; Zhai et al. (2024), "Normalizing
    Flows are Capable Generative Models", arXiv:2412.06329, section 3.2.
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        num_tokens: int,
        hidden_units: int = 64,
        num_blocks: int = 2,
        num_heads: int = 4,
        activation: Any = "gelu",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_outputs, seed=seed, **kwargs)
        self.num_tokens = checks.integer("num_tokens", num_tokens, 1)
        self.hidden_units = checks.width("hidden_units", hidden_units)
        self.num_blocks = checks.integer("num_blocks", num_blocks, 1)
        self.num_heads = checks.integer("num_heads", num_heads, 1)
        if self.hidden_units % self.num_heads:
            raise ValueError(
                f"`hidden_units` must be a multiple of num_heads = {self.num_heads}; got {self.hidden_units}."
            )
        self.activation = keras.activations.get(activation)
        width, numbers = self.hidden_units, range(num_blocks)
        self.token_layer = self._dense(0, width)
        self.norms = [LayerNormalization(dtype=self.dtype_policy) for _ in range(2 * num_blocks + 1)]
        self.attention_layers = [self._dense(4 * i + 2, 3 * width) for i in numbers]
        # A new block is close to zero.
        self.joining_layers = [self._dense(4 * i + 3, width, self._small(4 * i + 3)) for i in numbers]
        self.first_layers = [self._dense(4 * i + 4, 4 * width) for i in numbers]
        self.second_layers = [self._dense(4 * i + 5, width, self._small(4 * i + 5)) for i in numbers]

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        d, width = inputs_shape[-1], self.hidden_units
        if d % self.num_tokens:
            raise ValueError(f"`num_tokens` must divide the {d} numbers of an event; got {self.num_tokens}.")
        self._parameters_per_number = self._known_outputs() // d
        size = self._known_outputs() // self.num_tokens
        self.output_layer = keras.layers.Dense(size, kernel_initializer="zeros", dtype=self.dtype_policy)
        self.positions = self.add_weight(
            shape=(self.num_tokens, width),
            initializer=keras.initializers.RandomNormal(stddev=0.02, seed=self._seed(4 * self.num_blocks + 6)),
            name="positions",
        )
        self.token_layer.build((None, d // self.num_tokens))
        if condition_shape is not None:
            self.condition_layer = self._dense(1, width)
            self.condition_layer.build((None, joined_size(condition_shape)))
        for layer in (*self.norms, *self.attention_layers, *self.joining_layers, *self.first_layers):
            layer.build((None, width))
        for layer in self.second_layers:
            layer.build((None, 4 * width))
        self.output_layer.build((None, width))
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        ops, d = keras.ops, inputs.shape[-1]
        tokens = ops.reshape(join(inputs), (-1, self.num_tokens, d // self.num_tokens))
        embedded = self.token_layer(tokens)
        h = ops.concatenate([ops.zeros_like(embedded[:, :1]), embedded[:, :-1]], axis=1)
        h = h + ops.cast(self.positions, h.dtype)
        if condition is not None:
            h = h + self.condition_layer(join(condition))[:, None]
        for i in range(self.num_blocks):
            h = held(h + self.joining_layers[i](self._attend(self.attention_layers[i](self.norms[2 * i](h)))))
            update = self.activation(self.first_layers[i](self.norms[2 * i + 1](h)))
            h = held(h + self.second_layers[i](update))
        outputs = self.output_layer(self.norms[-1](h))
        p = self._parameters_per_number
        outputs = ops.reshape(outputs, (-1, self.num_tokens, p, d // self.num_tokens))
        return ops.reshape(ops.transpose(outputs, (0, 2, 1, 3)), (-1, p * d))

    def _attend(self, joined: Any) -> Any:
        """Attention of queries, keys and values [n, t, 3 · width] to tokens up to their own: [n, t, width]."""
        ops, size = keras.ops, self.hidden_units // self.num_heads
        heads = ops.reshape(joined, (-1, self.num_tokens, 3, self.num_heads, size))
        queries, keys, values = (heads[:, :, i] for i in range(3))
        scores = held(ops.einsum("nthc,nshc->nhts", queries, keys) / math.sqrt(size))
        past = np.tril(np.ones([self.num_tokens, self.num_tokens], bool))
        weights = tf.nn.softmax(tf.where(past, scores, tf.cast(-math.inf, scores.dtype)))  # Keras' warns of one token
        return ops.reshape(ops.einsum("nhts,nshc->nthc", weights, values), (-1, self.num_tokens, self.hidden_units))

    def _dense(self, index: int, units: int, initializer: Any = None) -> keras.layers.Dense:
        initializer = initializer or self._glorot(index)
        return keras.layers.Dense(units, kernel_initializer=initializer, dtype=self.dtype_policy)
