"""Steps of Glow of images of any size: shapes that are known in part."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import masks
from tfp_nvp.bijectors import ActNorm, Chain, Coupling, GlowBlock, InvertibleConv1x1, Squeeze
from tfp_nvp.conditioners import MLP, ConvNet
from tfp_nvp.transformers import Affine, Shift


def block(*arguments, **keywords) -> GlowBlock:
    keywords = {"conditioner": ConvNet(hidden_units=4, seed=1), "seed": 0, **keywords}
    layer = GlowBlock(*arguments, **keywords)
    rng = np.random.default_rng(3)
    for variable in layer.trainable_variables:
        variable.assign_add(0.2 * rng.normal(size=variable.shape).astype(np.float32))
    return layer


def test_it_is_the_three_layers_of_the_paper():
    assert [type(layer) for layer in GlowBlock(4, seed=0).bijectors] == [ActNorm, InvertibleConv1x1, Coupling]
    assert GlowBlock(4, transformer=Shift(), seed=0).bijectors[-1].transformer == Shift()


@pytest.mark.parametrize("sizes", [(1, 1), (2, 5), (8, 3)])
def test_sized_by_channels_it_maps_any_height_and_width_as_one_of_that_size(sizes, rng):
    of_channels, of_size = block(4), block([*sizes, 4])
    x = rng.normal(size=(3, *sizes, 4)).astype(np.float32)
    for ours, fixed in zip(of_channels.inverse_and_log_det(x), of_size.inverse_and_log_det(x), strict=True):
        np.testing.assert_array_equal(ours, fixed)


def test_sizes_may_be_known_only_when_a_graph_runs(rng):
    layer = block(4, condition_shape=[2])
    signature = [tf.TensorSpec([None, None, None, None, 4]), tf.TensorSpec([None, 2])]
    graph = tf.function(layer.forward_and_log_det, input_signature=signature)
    z, condition = rng.normal(size=(2, 3, 2, 5, 4)).astype(np.float32), rng.normal(size=(3, 2)).astype(np.float32)
    for found, expected in zip(graph(z, condition), layer.forward_and_log_det(z, condition), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    static = graph.get_concrete_function().structured_outputs
    assert static[0].shape.as_list() == [None, None, None, None, 4]
    for found in graph(z[:, :0], condition[:0]):
        assert found.shape[:2] == [2, 0]


def test_it_is_initialized_by_images_of_any_size(rng):
    layer = GlowBlock(4, seed=0)
    layer.initialize(tf.constant(5.0 + 2.0 * rng.normal(size=(50, 6, 3, 4)), tf.float32))
    assert layer.is_initialized
    z = layer.inverse(tf.constant(5.0 + 2.0 * rng.normal(size=(50, 2, 2, 4)), tf.float32)).numpy()
    np.testing.assert_allclose([z.mean(), z.std()], [0.0, 1.0], atol=0.15)


def test_channels_are_checked():
    layer = GlowBlock(4, seed=0)
    for wrong in (tf.ones([3, 2, 2, 1]), tf.ones([2, 4])):
        with pytest.raises(ValueError, match=r"must end in the event shape \[None, None, 4\]"):
            layer.inverse(wrong)
    unknown = tf.function(layer.inverse, input_signature=[tf.TensorSpec([None, None, None, None])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible with expected shape"):
        unknown(tf.ones([3, 2, 2, 1]))


def test_a_chain_knows_what_its_layers_know_together():
    any_size, by_size = GlowBlock(4, seed=0), ActNorm([2, 3, 4])
    for layers in ([any_size, by_size], [by_size, any_size]):
        assert Chain(layers)._x_shape == Chain(layers)._z_shape == (2, 3, 4)
    squeezed = Chain([Squeeze(), any_size])
    assert (squeezed._x_shape, squeezed._z_shape) == ((None, None, 1), (None, None, 4))
    assert squeezed.inverse_event_shape([7, None, 6, 1]).as_list() == [7, None, 3, 4]
    with pytest.raises(ValueError, match=r"takes events of shape \[None, None, 4\], and gets \[2, 3, 5\]"):
        Chain([any_size, ActNorm([2, 3, 5])])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GlowBlock(1), r"`event_shape\[-1\]` must be at least 2; got 1"),
        (lambda: GlowBlock([2, 2]), r"`event_shape` must be \[height, width, channels\], .*; got \[2, 2\]"),
        (lambda: GlowBlock(4, condition_shape=[2, 2, 1]), "`condition_shape` must be that of a vector or number"),
        (lambda: GlowBlock(4, parametrization="lu"), "`parametrization` must be one of 'plu', 'qr'; got 'lu'"),
        (lambda: InvertibleConv1x1([2, None]), r"`event_shape\[-1\]` must be an integer; got None"),
        (lambda: Coupling(Affine(), MLP(), [1, 0], event_shape=[3]), "`event_shape` must be one to which the mask"),
        (
            lambda: Coupling(Affine(), ConvNet(), masks.checkerboard(2, 2, 2), event_shape=[None, None, 2]),
            "`mask` must vary along the last axis only",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_the_mask_of_a_coupling_is_broadcast_to_the_event(rng):
    x = rng.normal(size=(3, 4, 4, 2)).astype(np.float32)
    results = []
    for mask in (masks.half(2), masks.channel(1, 1, 2), masks.channel(4, 4, 2)):
        layer = Coupling(Affine(), ConvNet(hidden_units=4, seed=0), mask, event_shape=[4, 4, 2])
        layer.conditioner.output_layer.kernel.assign_add(0.1 * tf.ones([3, 3, 4, 2]))
        results.append(layer.inverse(x).numpy())
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
