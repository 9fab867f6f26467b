"""The linear regression that `fit` subtracts from conditional data."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import bijectors, transformers
from tfp_nvp.conditioners._conditioner import Conditioner

#: Candidates for the ridge penalty, as multiples of the number of rows. The largest shrinks W to almost 0.
PENALTIES = np.logspace(-7.0, 3.0, 21)


@keras.saving.register_keras_serializable("tfp_nvp")
class Regression(Conditioner):
    """A conditioner that ignores its inputs: W condition + b, not trained.

    Shapes: inputs [n, 0] and condition [n, k] → [n, num_outputs].
    """

    def __init__(self, num_outputs: int | None = None, **kwargs: Any):
        super().__init__(num_outputs, **{**kwargs, "trainable": False})

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        shape = (self._known_outputs(),)
        self.kernel = self.add_weight(
            shape=(condition_shape[-1], *shape), initializer="zeros", trainable=False, name="kernel"
        )
        self.bias = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="bias")
        self.built = True

    def call(self, inputs: Any, condition: Any) -> Any:
        return keras.ops.matmul(condition, self.kernel) + self.bias


def regression_shift(
    x: np.ndarray,
    condition: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    dtype: Any,
    weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> bijectors.Coupling:
    """Fits the bijector x = z + W condition + b by ridge regression; the penalty minimizes the held-out error.

    Args:
      x, condition: training rows, [n, d] and [n, k].
      held_out: other rows of both.
      dtype: of the bijector.
      weights: of the training rows and of the others, [n] each and of mean 1, or None.
    """
    regression = Regression(dtype=tf.as_dtype(dtype).name)
    mask = np.zeros(x.shape[1], bool)
    shift = bijectors.Coupling(
        transformers.Shift(), regression, mask, condition_shape=condition.shape[1:], dtype=dtype, name="regression"
    )
    kernel, bias = ridge(x, condition, *held_out, weights)
    regression.kernel.assign(kernel)
    regression.bias.assign(bias)
    return shift


def ridge(
    x: np.ndarray,
    c: np.ndarray,
    other_x: np.ndarray,
    other_c: np.ndarray,
    weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> tuple[np.ndarray, np.ndarray]:
    """Fits W [k, d] and b [d] of x ≈ c W + b in float64, with the penalty chosen on the other rows."""
    weight, other_weight = weights
    root = 1.0 if weight is None else np.sqrt(weight)[:, np.newaxis]
    x_mean, c_mean = (np.average(v.astype(np.float64), axis=0, weights=weight) for v in (x, c))
    centered = root * (c - c_mean)
    eigenvalues, vectors = np.linalg.eigh(centered.T @ centered)
    products = vectors.T @ (centered.T @ (root * (x - x_mean)))
    best, least = np.zeros((c.shape[1], x.shape[1])), np.inf
    for penalty in len(x) * PENALTIES[::-1]:
        kernel = vectors @ (products / (np.maximum(eigenvalues, 0.0) + penalty)[:, np.newaxis])
        errors = np.square(other_x - x_mean - (other_c - c_mean) @ kernel).mean(axis=1)
        error = np.average(errors, weights=other_weight)
        if error < least:
            best, least = kernel, error
    return best, x_mean - c_mean @ best
