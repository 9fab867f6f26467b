"""A layer norm that can be differentiated twice, and can't overflow."""

from __future__ import annotations

from typing import Any

import keras


class LayerNormalization(keras.layers.LayerNormalization):
    """γ (h − mean h) / √(var h + ε) + β over the last axis, as in Keras.

    Keras computes the variance from a mean of which it stops the gradient: right for first derivatives, wrong for
    second ones. And squares of large numbers overflow: here numbers are divided by the largest deviation first.
    """

    def call(self, inputs: Any) -> Any:
        h = keras.ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        centered = h - keras.ops.mean(h, axis=-1, keepdims=True)
        largest = keras.ops.max(keras.ops.abs(centered), axis=-1, keepdims=True)
        largest = keras.ops.stop_gradient(keras.ops.maximum(largest, 1.0))  # the result does not depend on it
        centered = centered / largest
        variance = keras.ops.mean(keras.ops.square(centered), axis=-1, keepdims=True)
        scale = keras.ops.rsqrt(variance + self.epsilon / largest / largest)
        outputs = centered * scale * keras.ops.cast(self.gamma, h.dtype) + keras.ops.cast(self.beta, h.dtype)
        return keras.ops.cast(outputs, self.compute_dtype)
