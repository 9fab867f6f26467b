"""Masks that split an event in two, and the permutations that mix it.

A mask is a boolean array. `True` marks the part that passes through a coupling
unchanged and feeds the conditioner; `False` marks the part that is transformed.
"""

from __future__ import annotations

import numpy as np

from tfp_nvp import checks


def half(size: int, *, flip: bool = False) -> np.ndarray:
    """The first half of a vector is kept (the second, if `flip`); shape [size].

    >>> half(5).tolist()
    [True, True, False, False, False]
    """
    size = checks.integer("size", size, 1)
    return (np.arange(size) < size // 2) ^ flip


def alternating(size: int, *, flip: bool = False) -> np.ndarray:
    """Every other element of a vector is kept, from the first on; shape [size].

    >>> alternating(4).tolist()
    [True, False, True, False]
    """
    size = checks.integer("size", size, 1)
    return (np.arange(size) % 2 == 0) ^ flip


def checkerboard(height: int, width: int, channels: int = 1, *, flip: bool = False) -> np.ndarray:
    """The squares of one colour of a chessboard; shape [height, width, channels].

    Dinh et al. (2017), "Density estimation using Real NVP", arXiv:1605.08803, figure 3.

    >>> checkerboard(2, 2)[..., 0].tolist()
    [[True, False], [False, True]]
    """
    rows, columns = np.ogrid[: checks.integer("height", height, 1), : checks.integer("width", width, 1)]
    board = ((rows + columns) % 2 == 0) ^ flip
    return np.repeat(board[..., np.newaxis], checks.integer("channels", channels, 1), axis=-1)


def channel(height: int, width: int, channels: int, *, flip: bool = False) -> np.ndarray:
    """The first half of the channels is kept; shape [height, width, channels].

    Dinh et al. (2017), arXiv:1605.08803, figure 3.

    >>> channel(1, 1, 4).tolist()
    [[[True, True, False, False]]]
    """
    keep = half(channels, flip=flip)
    return np.broadcast_to(keep, (checks.integer("height", height, 1), checks.integer("width", width, 1), channels))


def random_permutation(size: int, seed: int) -> np.ndarray:
    """A permutation of range(size), drawn from `seed`; int64 of shape [size]."""
    return np.random.default_rng(seed).permutation(checks.integer("size", size, 1))
