"""Fixed permutations of a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, masks
from tfp_nvp.bijectors.bijector import Bijector


class Permute(Bijector):
    """x = z[..., permutation], along the last axis, with log_det = 0.

    Args:
      permutation: the integers 0 to d − 1 in any order.

    Raises:
      TypeError, ValueError: if it is not a permutation.

    >>> Permute([2, 0, 1]).forward(tf.constant([10.0, 20.0, 30.0])).numpy().tolist()
    [30.0, 10.0, 20.0]
    """

    def __init__(self, permutation: Any, *, name: str = "permute"):
        order = np.asarray(checks.permutation("permutation", permutation))
        super().__init__(event_shape=order.shape, is_constant_jacobian=True, name=name)
        # Weights, though fixed: a layer of another order that loads weights must load these too.
        self._order = tf.Variable(order, dtype=tf.int64, name="order", trainable=False)
        self._inverse_order = tf.Variable(np.argsort(order), dtype=tf.int64, name="inverse_order", trainable=False)

    @classmethod
    def random(cls, size: int, seed: int, *, name: str = "permute") -> Permute:
        """A permutation of `size` elements drawn from `seed`."""
        return cls(masks.random_permutation(size, seed), name=name)

    @property
    def permutation(self) -> np.ndarray:
        """The index in z of each element of x; int [d]."""
        return self._order.numpy()

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(z, self._order, axis=-1), tf.zeros([], z.dtype)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(x, self._inverse_order, axis=-1), tf.zeros([], x.dtype)

    @property
    def _is_permutation(self) -> bool:
        return True


class Reverse(Bijector):
    """x = z in reverse order along the last axis, with log_det = 0.

    >>> Reverse().forward(tf.constant([1.0, 2.0, 3.0])).numpy().tolist()
    [3.0, 2.0, 1.0]
    """

    def __init__(self, *, name: str = "reverse"):
        super().__init__(min_event_ndims=1, is_constant_jacobian=True, name=name)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.reverse(z, axis=[-1]), tf.zeros([], z.dtype)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.reverse(x, axis=[-1]), tf.zeros([], x.dtype)

    @property
    def _is_permutation(self) -> bool:
        return True
