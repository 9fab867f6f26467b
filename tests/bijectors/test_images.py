"""Squeeze, 1 × 1 convolution and multi-scale against definitions and direct computation."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import masks
from tfp_nvp.bijectors import ActNorm, Chain, InvertibleConv1x1, InvertibleLinear, Logit, Multiscale, Squeeze
from tfp_nvp.bijectors.invertible_linear import random_orthogonal

tfb = tfp.bijectors


def test_raster_squeeze_is_space_to_depth(rng):
    x = rng.normal(size=(2, 6, 9, 2)).astype(np.float32)
    np.testing.assert_array_equal(Squeeze(3).inverse(x), tf.nn.space_to_depth(x, 3))


@pytest.mark.parametrize("flip", [False, True])
def test_after_a_checkerboard_squeeze_the_channel_mask_is_the_chessboard(flip, rng):
    board = masks.checkerboard(4, 6, 2, flip=flip)
    squeezed = Squeeze(order="checkerboard").inverse(board.astype(np.float32)).numpy()
    np.testing.assert_array_equal(squeezed, masks.channel(2, 3, 8, flip=flip))


def test_squeeze_of_a_size_that_does_not_fit():
    with pytest.raises(ValueError, match=r"multiples of 2.*\[3, 4, 1\]"):
        Squeeze().inverse(tf.ones([3, 4, 1]))
    with pytest.raises(ValueError, match=r"multiple of 4 channels.*\[2, 2, 6\]"):
        Squeeze().forward(tf.ones([2, 2, 6]))
    with pytest.raises(ValueError, match="`order` must be one of 'raster', 'checkerboard'"):
        Squeeze(order="spiral")


def test_event_shapes_of_a_squeeze():
    layer = Squeeze(3)
    assert layer.inverse_event_shape([6, 9, 2]) == [2, 3, 18]
    assert layer.forward_event_shape([2, 3, 18]) == [6, 9, 2]
    assert layer.inverse_event_shape_tensor([6, 9, 2]).numpy().tolist() == [2, 3, 18]
    assert layer.forward_event_shape_tensor([2, 3, 18]).numpy().tolist() == [6, 9, 2]


def test_event_shapes_of_whole_batches():
    squeeze, levels = Squeeze(), Multiscale([Squeeze(), Squeeze()], [4, 4, 1])
    chain = Chain([Squeeze(), Squeeze()])
    for bijector, x_shape, z_shape in (
        (squeeze, [5, 4, 6, 1], [5, 2, 3, 4]),
        (squeeze, [2, 5, 4, 6, 1], [2, 5, 2, 3, 4]),
        (levels, [7, 4, 4, 1], [7, 16]),
        (chain, [7, 4, 8, 1], [7, 1, 2, 16]),
    ):
        assert bijector.inverse_event_shape(x_shape) == z_shape
        assert bijector.forward_event_shape(z_shape) == x_shape
        assert bijector.inverse_event_shape_tensor(x_shape).numpy().tolist() == z_shape
        assert bijector.forward_event_shape_tensor(z_shape).numpy().tolist() == x_shape
    assert squeeze.inverse_event_shape([None, 4, 6, 1]).as_list() == [None, 2, 3, 4]
    assert squeeze.inverse_event_shape([None, None, 6, 1]).as_list() == [None, None, 3, 4]


def test_it_starts_as_the_orthogonal_matrix_of_its_seed():
    matrix = InvertibleLinear([6], seed=4, start="orthogonal", dtype="float64").inverse(np.eye(6)).numpy().T
    np.testing.assert_allclose(matrix, random_orthogonal(6, 4), atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-12)


def test_log_det_of_the_convolution_is_that_of_the_matrix_at_every_pixel(rng):
    layer = InvertibleConv1x1([3, 2, 5], seed=1, dtype="float64")
    layer.linear.factors.assign_add(0.3 * rng.normal(size=(5, 5)))
    matrix = layer.linear.inverse(np.eye(5)).numpy().T
    x = rng.normal(size=(4, 3, 2, 5))
    z, log_det = layer.inverse_and_log_det(x)
    np.testing.assert_allclose(z, np.einsum("ij,nhwj->nhwi", matrix, x), atol=1e-12)
    np.testing.assert_allclose(log_det, np.full(4, 6 * np.linalg.slogdet(matrix)[1]), rtol=1e-12)
    np.testing.assert_allclose(layer.forward(z), x, atol=1e-12)


def test_multiscale_lets_the_second_half_of_the_channels_out(rng):
    x = rng.normal(size=(3, 4, 4, 1)).astype(np.float32)
    z = Multiscale([Squeeze(), Squeeze()], [4, 4, 1]).inverse(x).numpy()
    level = tf.nn.space_to_depth(x, 2).numpy()
    last = tf.nn.space_to_depth(level[..., :2], 2).numpy()
    np.testing.assert_array_equal(z, np.concatenate([level[..., 2:].reshape(3, 8), last.reshape(3, 8)], axis=1))


def test_multiscale_initializes_every_level_from_what_reaches_it(rng):
    x = 5.0 + 3.0 * rng.normal(size=(50, 4, 4, 1)).astype(np.float32)
    levels = [Chain([Squeeze(), ActNorm([2, 2, 4])]), Chain([tfb.Scale(10.0), ActNorm([2, 2, 2])])]
    flow = Multiscale(levels, [4, 4, 1])
    assert not flow.is_initialized
    flow.initialize(x)
    assert flow.is_initialized
    z = flow.inverse(x).numpy()
    np.testing.assert_allclose(z[:, :8].reshape(-1, 2).mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(z[:, 8:].reshape(-1, 2).std(axis=0), 1.0, atol=1e-4)


def test_multiscale_refuses_what_it_cannot_split():
    with pytest.raises(ValueError, match="even number of channels"):
        Multiscale([tfb.Identity(), tfb.Identity()], [4, 4, 3])
    with pytest.raises(ValueError, match="Level 0 must map images to images"):
        Multiscale([Multiscale([Squeeze()], [4, 4, 1])], [4, 4, 1])
    with pytest.raises(ValueError, match=r"`event_shape` must be \[height, width, channels\]"):
        Multiscale([Squeeze()], [4, 4, 1, 1])
    with pytest.raises(ValueError, match="at least one bijector"):
        Multiscale([], [4, 4, 1])
    with pytest.raises(TypeError, match="list of tfb"):
        Multiscale([1.0], [4, 4, 1])
    with pytest.raises(ValueError, match=r"`x` must end in the event shape \[4, 4, 1\]"):
        Multiscale([Squeeze()], [4, 4, 1]).inverse(tf.ones([2, 2, 4]))


def test_in_the_dispersed_order_each_place_is_far_from_those_before():
    places = np.arange(16).reshape(4, 4, 1)
    order = Squeeze(4, order="dispersed").inverse(tf.constant(places)).numpy().ravel()
    assert order[:4].tolist() == [0, 10, 2, 8]  # the corners of ever finer lattices
    assert sorted(order) == list(range(16))


def test_as_many_channels_leave_as_asked(rng):
    levels = [Squeeze(), ActNorm([2, 2, 3]), ActNorm([2, 2, 1])]
    layer = Multiscale(levels, [4, 4, 1], leaving=[1, 2])
    x = rng.normal(size=(2, 4, 4, 1)).astype(np.float32)
    z, squeezed = layer.inverse(x).numpy(), Squeeze().inverse(x).numpy()
    right = [squeezed[..., 3:], squeezed[..., 1:3], squeezed[..., :1]]
    np.testing.assert_array_equal(z, np.concatenate([part.reshape(2, -1) for part in right], axis=-1))
    np.testing.assert_array_equal(layer.forward(z), x)


def test_a_multiscale_that_lets_out_too_much():
    with pytest.raises(ValueError, match=r"`leaving` must hold a number for each level but the last, 1"):
        Multiscale([Squeeze(), ActNorm([2, 2, 2])], [4, 4, 1], leaving=[1, 1])
    with pytest.raises(ValueError, match=r"less than the 4 channels there are after level 0; got 4"):
        Multiscale([Squeeze(), ActNorm([2, 2, 2])], [4, 4, 1], leaving=[4])


def test_values_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="`x` must have at least 3 dimensions for squeeze"):
        Squeeze().inverse(tf.ones([4, 4]))
    with pytest.raises(TypeError, match="`x` must hold floating-point numbers; got int32"):
        Logit().inverse([0, 1])


@pytest.mark.parametrize("alpha", [1.5, 0.5, -0.1, np.nan])
def test_logit_states_its_own_range(alpha):
    with pytest.raises(ValueError, match=r"`alpha` must be in \[0, 0\.5\); got"):
        Logit(alpha)
