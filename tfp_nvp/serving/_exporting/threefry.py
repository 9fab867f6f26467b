"""Random numbers from one seed per row, for all rows at once."""

from __future__ import annotations

import math

import tensorflow as tf

from tfp_nvp._portable import is_portable

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA

Words = tuple[tf.Tensor, tf.Tensor]


def threefry(key: Words, counter: Words) -> Words:
    """Threefry-2x32 with 20 rounds: two random words of a key and a counter, all uint32, or all int32 of the same bits.

    Words broadcast against each other. It uses adds, shifts and exclusive ors, which have
    CPU and GPU kernels and need no XLA.

    >>> zero = tf.zeros([], tf.uint32)
    >>> [hex(int(word)) for word in threefry((zero, zero), (zero, zero))]
    ['0x6b200159', '0x99ba4efe']

    References: Salmon, Moraes, Dror & Shaw (2011), "Parallel random numbers: as easy as
    1, 2, 3", section 4.2; known answers from its library, Random123.
    """
    dtype = key[0].dtype
    keys = (*key, key[0] ^ key[1] ^ tf.constant(_PARITY, dtype))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for group in range(5):
        for bits in _ROTATIONS[group % 2]:
            x = x + y
            y = _rotate(y, bits) ^ x
        x = x + keys[(group + 1) % 3]
        y = y + (keys[(group + 2) % 3] + tf.constant(group + 1, dtype))
    return x, y


def uniforms(seed: tf.Tensor, size: int, dtype: tf.DType) -> tf.Tensor:
    """Uniform numbers in the open interval (0, 1).

    Row i depends on `seed[i]` only.

    Args:
      seed: int32 [n, 2].
      size: numbers per row.
      dtype: float32 (23 random bits) or float64 (52 random bits).

    Returns:
      [n, size].
    """
    words_each = 2 if dtype == tf.float64 else 1
    blocks = math.ceil(size * words_each / 2)
    words, counter = seed, tf.range(blocks, dtype=tf.int32)
    if not is_portable():
        words, counter = tf.bitcast(words, tf.uint32), tf.bitcast(counter, tf.uint32)
    x, y = threefry((words[:, :1], words[:, 1:]), (counter, tf.zeros([], words.dtype)))
    # Half a step is added to exclude 0 and 1, where logarithms and quantiles are infinite.
    if dtype == tf.float64:
        steps = _as_real(x, dtype) * 2.0**20 + tf.cast(_shift_right(y, 12), dtype)
        return (steps + 0.5) * 2.0**-52
    return ((tf.cast(_shift_right(tf.concat([x, y], axis=-1), 9), dtype) + 0.5) * 2.0**-23)[:, :size]


def normals(seed: tf.Tensor, size: int, dtype: tf.DType) -> tf.Tensor:
    """Standard normal numbers, by Box and Muller's transform: int32 [n, 2] → [n, size].

    A pair is √(−2 log u) · (cos 2πv, sin 2πv),    u, v uniform
    """
    half = math.ceil(size / 2)
    u, v = tf.split(uniforms(seed, 2 * half, dtype), 2, axis=-1)
    radius, angle = tf.sqrt(-2.0 * tf.math.log(u)), 2.0 * math.pi * v
    return tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=-1)[:, :size]


def _rotate(word: tf.Tensor, bits: int) -> tf.Tensor:
    return _shift_left(word, bits) + _shift_right(word, 32 - bits)


def _shift_left(word: tf.Tensor, bits: int) -> tf.Tensor:
    if word.dtype == tf.int32:
        return word * tf.constant(1 << bits, tf.int32)
    return tf.bitwise.left_shift(word, tf.constant(bits, tf.uint32))


def _shift_right(word: tf.Tensor, bits: int) -> tf.Tensor:
    """Zeros come in from the left, for int32 too."""
    if word.dtype == tf.int32:
        return tf.cast(_shift_right(tf.cast(word, tf.uint32), bits), tf.int32)
    return tf.bitwise.right_shift(word, tf.constant(bits, tf.uint32))


def _as_real(word: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The number from 0 to 2³² − 1 of a word's bits."""
    if word.dtype == tf.int32:
        return tf.cast(word, dtype) + tf.where(word < 0, tf.constant(2.0**32, dtype), tf.zeros([], dtype))
    return tf.cast(word, dtype)
