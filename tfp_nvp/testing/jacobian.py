"""log |det J| by automatic differentiation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import tensorflow as tf

from tfp_nvp.testing.report import Skipped


def autodiff_log_det(
    function: Callable[[Mapping[str, tf.Tensor]], tf.Tensor], inputs: Mapping[str, tf.Tensor], name: str
) -> tf.Tensor:
    """log |det ∂ function / ∂ inputs[name]| of every row; float64 of shape [n].

    Every row is repeated once per output element, and one backward pass gives that
    element's gradient: a whole Jacobian, exact if rows do not depend on one another.
    """
    n, event = inputs[name].shape[0], inputs[name].shape[1:].as_list()
    size = math.prod(event)
    repeated = {key: tf.repeat(value, size, axis=0) for key, value in inputs.items()}
    with tf.GradientTape() as tape:
        tape.watch(repeated[name])
        outputs = function(repeated)
    if math.prod(outputs.shape[1:]) != size:
        raise Skipped(f"the Jacobian of {event} → {outputs.shape[1:].as_list()} is not square")
    one_hot = tf.reshape(tf.tile(tf.eye(size, dtype=outputs.dtype), (n, 1)), outputs.shape)
    gradient = tape.gradient(
        outputs, repeated[name], output_gradients=one_hot, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return tf.linalg.slogdet(tf.cast(tf.reshape(gradient, (n, size, size)), tf.float64)).log_abs_determinant
