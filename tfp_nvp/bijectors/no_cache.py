"""In place of TFP's cache of results."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class NoCache:
    """Stands where TFP keeps its cache, and remembers nothing.

    TFP looks results up by tensor identity, whatever the weights have become since, and
    answers `inverse(forward(z))` with `z` itself, whatever `inverse` computes.
    """

    def __init__(self, bijector: Any = None):
        self._bijector = bijector

    def __get__(self, bijector: Any, owner: type) -> NoCache:
        return NoCache(bijector)

    def forward(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._bijector._forward(x, **kwargs)

    def inverse(self, y: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return self._bijector._inverse(y, **kwargs)

    def forward_attributes(self, x: tf.Tensor, **kwargs: Any) -> dict:
        return {}

    def inverse_attributes(self, y: tf.Tensor, **kwargs: Any) -> dict:
        return {}
