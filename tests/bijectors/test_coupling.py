import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import masks
from tfp_nvp.bijectors import Coupling
from tfp_nvp.conditioners import MLP
from tfp_nvp.transformers import Affine, RationalQuadratic, Shift

MASKS = {
    "half": masks.half(5),
    "flipped": masks.half(5, flip=True),
    "alternating": masks.alternating(5),
    "scattered": np.array([False, True, True, False, True]),
    "one": np.array([True, False, False, False, False]),
}


def dense(mask: np.ndarray, transformer) -> keras.layers.Layer:
    outputs = transformer.num_parameters * int((~mask).sum())
    return keras.layers.Dense(outputs, kernel_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=1))


@pytest.mark.parametrize("transformer", [Shift(), Affine(), RationalQuadratic(num_bins=4)])
def test_a_new_one_is_the_identity(rng, transformer):
    coupling = Coupling(transformer, MLP(transformer.num_parameters * 3), masks.half(5))
    z = rng.normal(size=(10, 5))
    x, log_det = coupling.forward_and_log_det(z)
    np.testing.assert_allclose(x, z, atol=1e-5)
    np.testing.assert_allclose(log_det, 0.0, atol=1e-5)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_what_is_kept_passes_unchanged_and_the_rest_is_transformed(rng, mask):
    z = rng.normal(size=(10, 5)).astype(np.float32)
    x = Coupling(Affine(), dense(mask, Affine()), mask).forward(z).numpy()
    np.testing.assert_array_equal(x[:, mask], z[:, mask])
    assert (x[:, ~mask] != z[:, ~mask]).all()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_it_is_the_affine_coupling_of_the_paper(rng, mask):
    """Equations 7 and 8 of Dinh et al. (2017): y₂ = x₂ · exp(s(x₁)) + t(x₁), and the inverse, with our bound on s."""
    network = dense(mask, Affine())
    coupling = Coupling(Affine(bound=3.0), network, mask)
    z = rng.normal(size=(10, 5)).astype(np.float32)
    t, r = np.split(network(z[:, mask]).numpy(), 2, axis=-1)
    s = 3.0 * np.tanh(r / 3.0)
    x, log_det = coupling.forward_and_log_det(z)
    np.testing.assert_allclose(x.numpy()[:, ~mask], z[:, ~mask] * np.exp(s) + t, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_det, s.sum(-1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(coupling.inverse(tf.identity(x)), z, rtol=1e-4, atol=1e-5)


def test_additive_couplings_keep_volume(rng):
    mask = masks.half(5)
    _, log_det = Coupling(Shift(), dense(mask, Shift()), mask).forward_and_log_det(rng.normal(size=(10, 5)))
    np.testing.assert_array_equal(log_det, 0.0)


def test_channels_can_be_split(rng):
    mask = masks.channel(2, 2, 4)
    coupling = Coupling(Affine(), keras.layers.Conv2D(4, 1), mask)
    z = rng.normal(size=(3, 2, 2, 4)).astype(np.float32)
    x = coupling.forward(z).numpy()
    np.testing.assert_array_equal(x[:, mask], z[:, mask])
    assert (x[:, ~mask] != z[:, ~mask]).all()


def test_on_a_checkerboard_the_network_sees_only_what_is_kept(rng):
    mask = masks.checkerboard(4, 4, 1)
    seen = []

    class Spy(keras.layers.Layer):
        def call(self, inputs):
            seen.append(inputs)
            return keras.ops.concatenate([inputs, inputs], axis=-1)

    coupling = Coupling(Affine(), Spy(), mask)
    x = coupling.forward(rng.normal(size=(3, 4, 4, 1))).numpy()
    assert (seen[-1].numpy()[:, ~mask] == 0.0).all()
    np.testing.assert_allclose(seen[-1].numpy()[:, mask], x[:, mask])


def test_conditions_broadcast_with_values(rng):
    mask = masks.half(3)
    coupling = Coupling(Affine(), MLP(4, hidden_units=[8], seed=0), mask, condition_shape=[2])
    coupling.conditioner.output_layer.kernel.assign(rng.normal(size=(8, 4)))
    x, condition = rng.normal(size=(3, 3)), rng.normal(size=(5, 1, 2))
    z, log_det = coupling.inverse_and_log_det(x, condition=condition)
    assert z.shape == [5, 3, 3]
    assert log_det.shape == [5, 3]
    for i in range(5):
        alone, log_det_alone = coupling.inverse_and_log_det(x, condition=condition[i])
        np.testing.assert_allclose(z[i], alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(log_det[i], log_det_alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([1, 2], ValueError, "`mask` must hold True and False, or 1 and 0; got 2"),
        ([0.5, 0.0], ValueError, "`mask` must hold True and False, or 1 and 0; got 0.5"),
        (["a", "b"], TypeError, "`mask` must be an array of booleans, or of 0 and 1, of the event's shape; got"),
        ([[True], [True, False]], TypeError, "`mask` must be an array of booleans"),
        (True, TypeError, "`mask` must be an array of booleans"),
        ([True, True], ValueError, "`mask` must keep some elements"),
        ([False, False], ValueError, "only with a `condition_shape` may it keep none"),
    ],
)
def test_masks_that_do_not_split_are_refused(mask, error: type, message: str):
    with pytest.raises(error, match=message):
        Coupling(Affine(), MLP(2), mask)


@pytest.mark.parametrize("dtype", [int, float, np.uint8])
def test_masks_may_be_numbers(rng, dtype):
    z = rng.normal(size=(4, 5)).astype(np.float32)
    layers = [Coupling(Affine(), dense(mask, Affine()), mask) for mask in (masks.half(5),)]
    layers.append(Coupling(Affine(), dense(masks.half(5), Affine()), masks.half(5).astype(dtype).tolist()))
    plain, of_numbers = (layer.forward(z).numpy() for layer in layers)
    np.testing.assert_array_equal(of_numbers, plain)


def test_a_network_of_another_size_is_refused():
    with pytest.raises(ValueError, match="must return 6 numbers"):
        Coupling(Affine(), MLP(4), masks.half(5))


def test_a_transformer_is_needed():
    with pytest.raises(TypeError, match="`transformer` must be a Transformer"):
        Coupling(Affine, MLP(4), masks.half(4))
