"""A partition of an interval into bins by a softmax, with a written-out gradient."""

from __future__ import annotations

import tensorflow as tf


class Partition:
    """A partition of [-bound, bound] into k bins: size_i = 2 · bound · (minimum + (1 − k · minimum) · p_i).

    p = softmax(raw) over the first axis of `raw` [k, ...]. Sizes and knots are computed in units of the weights
    exp(raw − max); only the bin that is used is converted, by `length`.
    """

    def __init__(self, raw: tf.Tensor, minimum: float, bound: float):
        self.num_bins = raw.shape[0]
        self.half = (self.num_bins + 1) // 2  # bins from this number on are counted from the upper end
        self.minimum, self.bound = minimum, bound
        self.free = 1.0 - minimum * self.num_bins  # the fraction of the interval that the softmax divides
        self.weights = tf.exp(raw - tf.stop_gradient(tf.reduce_max(raw, axis=0)))
        self.total = tf.reduce_sum(self.weights, axis=0)
        self.interval = self.total / self.free

    def sizes(self) -> list[tf.Tensor]:
        """The size of each bin [...], in units of the weights."""
        least = self.minimum * self.interval
        return [weight + least for weight in tf.unstack(self.weights)]

    def starts(self, sizes: list[tf.Tensor]) -> list[tf.Tensor]:
        """Where each bin starts [...], in units of the weights: from −bound in the lower half of bins, else from bound.

        A sum over the bins to the nearer end rounds least, and so does the distance of a value from that end.
        """
        below, above = [tf.zeros_like(sizes[0])], [-sizes[-1]]
        for i in range(self.half - 1):
            below.append(below[-1] + sizes[i])
        for i in range(self.num_bins - 2, self.half - 1, -1):
            above.append(above[-1] - sizes[i])
        return below + above[::-1]

    def positions(self, value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The distances of a value from −bound and from bound, in units of the weights."""
        low, high = ((value - end) * self.interval / (2.0 * self.bound) for end in (-self.bound, self.bound))
        return low, high

    def length(self, size: tf.Tensor) -> tf.Tensor:
        """A size in units of the values."""
        return 2.0 * self.bound * size / self.interval

    def knot(self, start: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The start of the bin of this number in units of the values, and what rounding took from it.

        Near an end, a bin can be so narrow that the rounded knot lies elsewhere in it.
        """
        end = tf.where(index >= self.half, tf.constant(self.bound, index.dtype), -self.bound)
        offset = self.length(start)
        knot = end + offset
        return knot, offset - (knot - end)

    def gradient(
        self, index: tf.Tensor, start: tf.Tensor, size: tf.Tensor, g_start: tf.Tensor, g_size: tf.Tensor
    ) -> tf.Tensor:
        """The gradient of `raw` [k, ...], given those of the start and the size [...] of the bin number `index`.

            2 · bound · free · p_i · (G_i − Σ_j p_j G_j),   G_i = g_start for i < index, g_size for i = index, else 0

        The sum is known from start and size. Automatic differentiation would go through every knot, at many times the
        cost. The three values are quotients on purpose: XLA would recompute a product or a sum for every bin.
        """
        passed = ((start + self.bound) / (2.0 * self.bound) - self.minimum * index) / self.free
        share = (size / (2.0 * self.bound) - self.minimum) / self.free
        mean = g_start * passed + g_size * share
        scale = 2.0 * self.bound * self.free
        before, at, after = (scale * g / self.total for g in (g_start - mean, g_size - mean, -mean))
        number = count(self.num_bins, index)
        return self.weights * tf.where(index > number, before, tf.where(tf.equal(index, number), at, after))


def count(k: int, like: tf.Tensor) -> tf.Tensor:
    """0, 1, … k − 1 along a new first axis, of a shape that broadcasts with `like`."""
    return tf.reshape(tf.range(k, dtype=like.dtype), [k] + [1] * like.shape.rank)
