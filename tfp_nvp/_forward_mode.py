"""Derivatives that TensorFlow has in reverse mode alone."""

from __future__ import annotations

import tensorflow as tf


def refuse_forward_mode(of: str) -> None:
    """Raises an error if it is called by `tf.autodiff.ForwardAccumulator`, for gradients that need a tape themselves.

    TensorFlow gets forward-mode derivatives of a custom gradient by evaluating it where nothing is recorded: a tape
    within then finds no dependence, and the derivative would be zero.

    Raises:
      NotImplementedError: in such a place; the message begins with `of`.
    """
    with tf.GradientTape() as tape:
        one = tf.ones([])
        tape.watch(one)
        two = one + one
    if tape.gradient(two, one) is None:
        raise NotImplementedError(
            f"{of} has derivatives in reverse mode alone, not by tf.autodiff.ForwardAccumulator: use tf.GradientTape, "
            "whose `batch_jacobian` times a vector, or two gradients, give the same product."
        )
