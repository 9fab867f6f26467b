"""An interval cut into bins by a softmax, with the gradient of a bin's place written out."""

from __future__ import annotations

import tensorflow as tf


class Partition:
    """[-bound, bound] cut into k bins, for each element: size_i = 2 · bound · (minimum + (1 − k · minimum) · p_i).

    p = softmax(raw) over the first axis of `raw` [k, ...], a bin's share of the length that is
    free. Only sums of a few shares are ever used, so the weights exp(raw − max) are kept and their
    `total` is divided by last.
    """

    def __init__(self, raw: tf.Tensor, minimum: float, bound: float):
        self.num_bins = raw.shape[0]
        self.bound = bound
        self.floor = 2.0 * bound * minimum
        self.free = 2.0 * bound * (1.0 - minimum * self.num_bins)
        self.weights = tf.exp(raw - tf.stop_gradient(tf.reduce_max(raw, axis=0)))
        self.total = tf.reduce_sum(self.weights, axis=0)

    def sizes(self) -> list[tf.Tensor]:
        """The size of each bin [...]."""
        scale = self.free / self.total
        return [self.floor + scale * weight for weight in tf.unstack(self.weights)]

    def gradient(
        self, index: tf.Tensor, start: tf.Tensor, size: tf.Tensor, g_start: tf.Tensor, g_size: tf.Tensor
    ) -> tf.Tensor:
        """The gradient of `raw` [k, ...], given those of the start and the size [...] of the bin number `index`.

            free · p_i · (G_i − Σ_j p_j G_j),   G_i = g_start for i < index, g_size for i = index, else 0

        The sum is known from start and size. Automatic differentiation would walk back through
        every knot instead, at many times the cost. Each of the three values is a quotient, on
        purpose: XLA would compute a product or a sum anew for every bin.
        """
        passed = (start + self.bound - self.floor * index) / self.free
        share = (size - self.floor) / self.free
        mean = g_start * passed + g_size * share
        before, at, after = (self.free * g / self.total for g in (g_start - mean, g_size - mean, -mean))
        number = count(self.num_bins, index)
        return self.weights * tf.where(index > number, before, tf.where(tf.equal(index, number), at, after))


def count(k: int, like: tf.Tensor) -> tf.Tensor:
    """0, 1, … k − 1 along a new first axis, of a shape that broadcasts with `like`."""
    return tf.reshape(tf.range(k, dtype=like.dtype), [k] + [1] * like.shape.rank)
