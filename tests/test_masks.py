import numpy as np
import pytest

from tfp_nvp import masks

MAKERS = {
    "half": lambda flip: masks.half(5, flip=flip),
    "alternating": lambda flip: masks.alternating(5, flip=flip),
    "checkerboard": lambda flip: masks.checkerboard(3, 4, 2, flip=flip),
    "channel": lambda flip: masks.channel(3, 4, 5, flip=flip),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_flipping_swaps_the_parts(make):
    assert make(False).dtype == bool
    np.testing.assert_array_equal(make(True), ~make(False))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_neither_part_is_empty(make):
    assert 0 < make(False).sum() < make(False).size


def test_half_keeps_the_first_elements():
    assert masks.half(5).tolist() == [True, True, False, False, False]


def test_alternating_keeps_every_other_element():
    assert masks.alternating(5).tolist() == [True, False, True, False, True]


def test_neighbours_on_a_checkerboard_differ():
    board = masks.checkerboard(4, 5, 2)
    assert board.shape == (4, 5, 2)
    assert (board[1:] != board[:-1]).all()
    assert (board[:, 1:] != board[:, :-1]).all()
    np.testing.assert_array_equal(board[..., 0], board[..., 1])


def test_channel_is_the_same_at_every_pixel():
    mask = masks.channel(2, 3, 4)
    assert mask.shape == (2, 3, 4)
    assert (mask == [True, True, False, False]).all()


def test_a_random_permutation_is_one_and_follows_its_seed():
    permutation = masks.random_permutation(20, 3)
    assert sorted(permutation) == list(range(20))
    np.testing.assert_array_equal(permutation, masks.random_permutation(20, 3))
    assert (permutation != masks.random_permutation(20, 4)).any()


@pytest.mark.parametrize("make", [masks.half, masks.alternating])
def test_sizes_are_checked(make):
    with pytest.raises(ValueError, match="`size` must be at least 1; got 0"):
        make(0)
    with pytest.raises(TypeError, match="`size` must be an integer"):
        make(2.5)
