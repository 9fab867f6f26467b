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


def hidden_degrees(units: int, size: int, *, lowest: int = 1) -> np.ndarray:
    """Degrees of a masked network's hidden units, evenly spread over lowest, …, size − 1; int64 of shape [units].

    A unit of degree j depends on the first j elements of an event of `size`, and later elements depend on it; a unit
    of degree 0 depends on a condition only. Degrees ascend, and are the same in every network.

    Germain et al. (2015), "MADE", arXiv:1502.03509, section 4.

    >>> hidden_degrees(5, 4).tolist()
    [1, 1, 2, 2, 3]
    """
    units, size = checks.integer("units", units, 1), checks.integer("size", size, 1)
    count = size - lowest
    if count < 1:  # a single element without a condition: units depend on nothing
        return np.zeros(units, np.int64)
    return lowest + np.arange(units) * count // units


def autoregressive(in_degrees: np.ndarray, out_degrees: np.ndarray, *, strict: bool = False) -> np.ndarray:
    """The inputs that an output may depend on: of no higher degree, or of lower if `strict`; shape [in, out].

    Germain et al. (2015), "MADE", arXiv:1502.03509, equations 12 and 13.

    >>> autoregressive(np.array([1, 2]), np.array([1, 2])).tolist()
    [[True, True], [False, True]]
    """
    below = np.less if strict else np.less_equal
    return below(np.asarray(in_degrees)[:, np.newaxis], np.asarray(out_degrees)[np.newaxis, :])
