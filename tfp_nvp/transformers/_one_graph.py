"""One graph for all layers of equal transformers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_nvp.transformers.transformer import Transformer, on_vectors


class OneGraph:
    """A transformer whose maps of short rows are one graph, traced, differentiated and compiled once for all layers.

    Its gradient must be written out and use no shapes: XLA treats a shape that one function passes to another, and
    with it all arguments of the function, as constant, and compiles again for every value of the weights.

    Args:
      transformer: the transformer.
    """

    def __init__(self, transformer: Transformer):
        self._transformer = transformer

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply("forward", z, raw)

    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._apply("inverse", x, raw)

    def _apply(self, direction: str, value: Any, raw: Any) -> tuple[tf.Tensor, tf.Tensor]:
        graph = _graph(self._transformer, direction, value.dtype)
        return on_vectors(self._transformer, value, raw, graph, getattr(self._transformer, direction))


@functools.lru_cache(maxsize=64)
def _graph(transformer: Transformer, direction: str, dtype: tf.DType) -> Callable:
    """(value [n], raw [p, n]) → result, log_det [n], for any n: the same one for equal transformers."""
    shapes = tf.TensorSpec([None], dtype), tf.TensorSpec([transformer.num_parameters, None], dtype)
    return tf.function(getattr(transformer, direction), input_signature=shapes, autograph=False)
