"""Networks that change less than their inputs, whatever their weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import bijectors, conditioners
from tfp_nvp.conditioners._lipschitz import lip_swish
from tfp_nvp.conditioners._spectral import convolution_bound, spectral_bound

#: A product of m terms, and the sums of the bound, round by less than this part.
ROUNDING = {"float32": 1e-5, "float64": 1e-13}


def largest_singular_value(matrix) -> float:
    return float(np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)[0])


def unrolled(kernel, height: int, width: int) -> np.ndarray:
    """The matrix of the convolution of images [height, width, a]: one row for each image of a single 1."""
    size = height * width * kernel.shape[2]
    units = tf.reshape(tf.eye(size, dtype=kernel.dtype), [size, height, width, kernel.shape[2]])
    return tf.reshape(tf.nn.conv2d(units, kernel, 1, "SAME"), [size, -1]).numpy()


def true_norms(network) -> list[float]:
    """Of each linear map that the network applies to its inputs."""
    kernels = network.tensors()[: len(network.kernels)]
    sides = getattr(network, "_sides", None)
    return [largest_singular_value(kernel if sides is None else unrolled(kernel, *sides)) for kernel in kernels]


def network_of(kind: str, dtype: str = "float32", condition_shape=None, **arguments):
    """A network, and the shape of its inputs."""
    if kind == "mlp":
        made, shape = conditioners.LipschitzMLP(4, hidden_units=[16, 8], seed=0, dtype=dtype, **arguments), (4,)
    else:
        made, shape = conditioners.LipschitzConvNet(2, hidden_units=5, seed=0, dtype=dtype, **arguments), (4, 3, 2)
    condition = None if condition_shape is None else tf.zeros([1, *condition_shape], dtype)
    made(tf.zeros([1, *shape], dtype), condition=condition)
    return made, shape


each_kind = pytest.mark.parametrize("kind", ["mlp", "conv_net"])
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@each_dtype
@pytest.mark.parametrize("shape", [(3, 3), (2, 40), (40, 2), (64, 64)])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_bound_is_above_the_norm_and_close_to_it(rng, dtype, shape, scale):
    for matrix in (rng.normal(size=shape), np.outer(rng.normal(size=shape[0]), rng.normal(size=shape[1]))):
        norm = largest_singular_value((scale * matrix).astype(dtype))
        bound = float(spectral_bound(tf.constant(scale * matrix, dtype)))
        assert norm * (1.0 - ROUNDING[dtype]) <= bound <= norm * min(shape) ** (1 / 256) * (1.0 + ROUNDING[dtype])


def test_the_bound_of_nothing_is_nothing():
    zeros = tf.zeros([3, 4])
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        bound = spectral_bound(zeros)
    assert float(bound) < 1e-30
    np.testing.assert_array_equal(tape.gradient(bound, zeros), zeros)


@pytest.mark.parametrize("sizes", [(1, 1, 3, 1), (2, 3, 3, 2), (4, 5, 3, 2), (6, 6, 3, 3), (3, 4, 1, 3)])
def test_the_bound_of_a_convolution_is_above_the_norm_of_its_matrix(rng, sizes):
    """Zeros around the image take less than what they add to its sides."""
    height, width, side, channels = sizes
    kernel = tf.constant(rng.normal(size=(side, side, channels, 4)))
    norm, bound = (
        largest_singular_value(unrolled(kernel, height, width)),
        float(convolution_bound(kernel, height, width)),
    )
    assert norm * (1.0 - 1e-12) <= bound
    if height * width > 10:
        assert bound <= 1.4 * norm


def test_the_torus_of_a_bound_is_larger_than_the_image():
    """Alternating signs on 3 × 3 pixels: the norm is (1 + √2)², on a torus of 3 × 3 it would be 4, on 5 × 5 6.85."""
    signs = np.asarray([1.0, -1.0, 1.0])
    kernel = tf.constant(np.outer(signs, signs)[..., None, None])
    assert largest_singular_value(unrolled(kernel, 3, 3)) == pytest.approx((1.0 + 2.0**0.5) ** 2)
    assert float(convolution_bound(kernel, 3, 3)) == pytest.approx((1.0 - 2.0 * np.cos(0.8 * np.pi)) ** 2, rel=0.01)


def test_lip_swish_moves_no_more_than_its_input():
    h = tf.constant(np.linspace(-30.0, 30.0, 200_001))
    for slope in (0.0, 1e-3, 0.5, 1.0, 7.0, 1e3):
        with tf.GradientTape() as tape:
            tape.watch(h)
            total = lip_swish(h, tf.constant(slope, tf.float64))
        derivative = tape.gradient(total, h)
        assert float(tf.reduce_min(derivative)) >= -0.1
        assert float(tf.reduce_max(derivative)) <= 1.0
    assert float(tf.reduce_max(derivative)) > 0.99  # and no less than it must


@each_kind
@each_dtype
@pytest.mark.parametrize("spread", [0.01, 1.0, 1e3])
def test_true_norms_are_at_most_what_was_asked_for_any_weights(kind, dtype, spread, rng):
    network, _ = network_of(kind, dtype, lipschitz=0.9)
    for weight in network.trainable_variables:
        weight.assign(spread * rng.normal(size=weight.shape))
    norms = np.asarray(true_norms(network))
    assert (norms <= 0.9 ** (1 / 3) * (1.0 + ROUNDING[dtype])).all()
    if spread > 0.01 and kind == "mlp":
        assert (norms >= 0.95 * 0.9 ** (1 / 3)).all()  # the bound is close, so nothing is given away


@each_kind
def test_true_norms_hold_after_training_and_loading(kind, rng, tmp_path):
    """Steps of a size that no one takes; files hold the weights alone."""
    network, shape = network_of(kind, lipschitz=0.97)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, network(inputs))
    model.compile(keras.optimizers.Adam(1.0), loss="mse")
    x = rng.normal(size=(64, *shape)).astype("float32")
    model.fit(x, -5.0 * x, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for trained in (network, again.layers[-1]):
        assert type(trained) is type(network)
        assert max(true_norms(trained)) <= 0.97 ** (1 / 3) * (1.0 + ROUNDING["float32"])
    np.testing.assert_allclose(again(x), model(x), rtol=1e-5, atol=1e-6)


@each_kind
@pytest.mark.parametrize("condition_shape", [None, (3,), (8, 6, 1)])
def test_outputs_move_less_than_inputs_and_freely_with_the_condition(kind, condition_shape, rng):
    network, shape = network_of(kind, "float64", condition_shape, lipschitz=0.9)
    for weight in network.trainable_variables:
        weight.assign(3.0 * rng.normal(size=weight.shape))
    condition = None if condition_shape is None else tf.constant(rng.normal(size=(50, *condition_shape)))
    a, b = tf.constant(rng.normal(size=(2, 50, *shape)))
    moved, by = network(a, condition=condition) - network(b, condition=condition), a - b
    lengths = [np.linalg.norm(np.reshape(change, [50, -1]), axis=-1) for change in (moved, by)]
    assert (lengths[0] <= 0.9 * lengths[1]).all()
    if condition is not None:
        other = network(a, condition=condition + 1.0)
        assert np.abs(other - network(a, condition=condition)).max() > 1e-3


@each_kind
def test_gradients_of_the_bound_are_differences(kind, rng):
    """A step along the gradient changes a network by what its gradient says: the division is differentiated too."""
    network, shape = network_of(kind, "float64", lipschitz=0.9)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    x = tf.constant(rng.normal(size=(5, *shape)))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network(x) ** 2)
    weights = network.kernels
    directions = [rng.normal(size=weight.shape) for weight in weights]
    along = sum(float(tf.reduce_sum(g * d)) for g, d in zip(tape.gradient(total, weights), directions, strict=True))
    ends = []
    for step in (1e-6, -1e-6):
        for weight, direction in zip(weights, directions, strict=True):
            weight.assign_add(step * direction)
        ends.append(float(tf.reduce_sum(network(x) ** 2)))
        for weight, direction in zip(weights, directions, strict=True):
            weight.assign_sub(step * direction)
    assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(along, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("lipschitz", [0.0, 1.0, 1.5, float("nan")])
def test_a_constant_that_is_no_contraction_is_refused(lipschitz):
    with pytest.raises(ValueError, match="`lipschitz` must be"):
        conditioners.LipschitzMLP(lipschitz=lipschitz)


def test_a_layer_needs_a_network_with_a_known_constant_and_its_dtype():
    with pytest.raises(TypeError, match="`conditioner` must be a LipschitzNetwork, for example"):
        bijectors.Residual(conditioners.MLP(), [2])
    with pytest.raises(ValueError, match="must have the layer's dtype, float64; got float32"):
        bijectors.Residual(conditioners.LipschitzMLP(dtype="float32"), [2], dtype="float64")
    with pytest.raises(ValueError, match="must have the layer's dtype, float32; got mixed_bfloat16"):
        bijectors.Residual(conditioners.LipschitzMLP(dtype="mixed_bfloat16"), [2])
