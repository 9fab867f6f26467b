"""Upper bounds of spectral norms, of matrices and of convolutions."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

#: Squarings of a Gram matrix. With 6, the bound of an m × m matrix exceeds its norm by a factor of at most
#: m^(1/256): 1.009 for 10, 1.019 for 128.
NUM_SQUARINGS = 6


def spectral_bound(matrix: tf.Tensor) -> tf.Tensor:
    """An upper bound [...] of the spectral norms of matrices [..., a, b].

        σ(M) ≤ ‖Gᵖ‖_F^(1/2p),   G = M Mᵀ or MᵀM, whichever is smaller, and p = 2⁶

    σ² is the largest eigenvalue of G, σ^(2p) that of Gᵖ, and no eigenvalue exceeds the Frobenius norm, which is
    at most √min(a, b) times as large. Gᵖ takes 6 squarings. Unlike power iteration, it holds a bound from above for
    any weights, needs no vectors to be kept and saved, and has exact derivatives.

    Each square is divided by its own norm sⱼ, so that none overflows: log σ ≤ Σⱼ 2^(−j−1) log sⱼ.

    References: Delattre, Barthélemy, Araujo & Allauzen (2023), "Efficient Bound of Lipschitz Constant for
    Convolutional Layers by Gram Iteration", arXiv:2305.16173, theorem 1 and algorithm 1.
    """
    tiny = float(np.finfo(matrix.dtype.as_numpy_dtype).tiny)
    size = tf.maximum(tf.stop_gradient(tf.reduce_max(tf.abs(matrix), axis=(-2, -1), keepdims=True)), tiny)
    matrix = matrix / size
    is_wide = matrix.shape[-2] < matrix.shape[-1]
    power = tf.matmul(matrix, matrix, transpose_a=not is_wide, transpose_b=is_wide)
    log_bound = tf.math.log(size)
    for j in range(NUM_SQUARINGS + 1):
        power = power if j == 0 else tf.matmul(power, power)
        norm = tf.sqrt(tf.maximum(tf.reduce_sum(power**2, axis=(-2, -1), keepdims=True), tiny))
        log_bound += tf.math.log(norm) / 2.0 ** (j + 1)
        power = power / norm
    return tf.exp(log_bound)[..., 0, 0]


def convolution_bound(kernel: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """An upper bound of the spectral norm of the convolution of images [height, width, a], zeros around them.

    Images are part of a torus of (height + k − 1) × (width + k − 1) pixels, zero elsewhere, on which the convolution
    does not reach around; its result is a part of the one on the torus. Neither changes a norm upwards. The torus'
    Fourier transform, which keeps norms, makes the convolution one a × b matrix per frequency:

        σ(K ∗) ≤ max_{u,v} σ(Σ_{p,q} K[p, q] exp(−2πi (p u / (height + k − 1) + q v / (width + k − 1))))

    Args:
      kernel: [k, k, a, b].
      height, width: of the images, in pixels.

    References: Sedghi, Gupta & Long (2019), "The Singular Values of Convolutional Layers", arXiv:1805.10408,
    theorem 6, for the torus.
    """
    k, _, a, b = kernel.shape
    if k == 1:
        return spectral_bound(kernel[0, 0])
    rows, columns = (np.outer(np.arange(n), np.arange(k)) / n for n in (height + k - 1, width + k - 1))
    columns = columns[: len(columns) // 2 + 1]  # the others are complex conjugates
    angles = 2.0 * math.pi * (rows[:, None, :, None] + columns[None, :, None, :]).reshape(-1, k * k)
    flat = tf.reshape(kernel, (k * k, a * b))
    real, imaginary = (
        tf.reshape(tf.matmul(tf.constant(part, kernel.dtype), flat), (-1, a, b))
        for part in (np.cos(angles), np.sin(angles))
    )
    # A complex matrix has the norm of this real one.
    blocks = tf.concat([tf.concat([real, imaginary], axis=-1), tf.concat([-imaginary, real], axis=-1)], axis=-2)
    return tf.reduce_max(spectral_bound(blocks))
