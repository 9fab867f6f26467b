"""Bijectors of random sizes, masks and batch shapes: finite, and each direction undoes the other."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given
from hypothesis import strategies as st

from tfp_nvp import bijectors, conditioners, masks, transformers

tfb = tfp.bijectors
seeds = st.integers(0, 2**16)
TRANSFORMERS = st.sampled_from(
    [
        transformers.Shift(),
        transformers.Affine(),
        transformers.RationalQuadratic(num_bins=3),
        transformers.MixtureOfLogistics(num_components=2),
        transformers.Bernstein(degree=5),
        transformers.SumOfSquares(degree=2),
        transformers.DeepSigmoidal(num_units=2),
        transformers.UnconstrainedMonotonic(num_units=2, num_nodes=9),
    ]
)


def dense(seed: int) -> keras.layers.Layer:
    return conditioners.MLP(hidden_units=[4], seed=seed, dtype="float64")


VECTORS = (
    *("coupling", "autoregressive", "elementwise", "linear", "act_norm", "permute", "chain"),
    *("planar", "radial", "sylvester", "principal_axes", "stock", "conditioned"),
)
AMORTIZED = {"planar": bijectors.Planar, "radial": bijectors.Radial, "sylvester": bijectors.Sylvester}


@st.composite
def vectors(draw) -> tuple[bijectors.Bijector, tuple[int, ...], int | None]:
    """A bijector of vectors, its event shape, and the size of its condition, or None."""
    d, seed = draw(st.integers(2, 7)), draw(seeds)
    condition = draw(st.sampled_from([None, 2]))
    shape = None if condition is None else [condition]
    shared = {"condition_shape": shape, "dtype": "float64"}
    kind = draw(st.sampled_from(VECTORS))
    if kind in ("planar", "radial", "sylvester"):
        network = None if condition is None else dense(seed)
        return AMORTIZED[kind]([d], conditioner=network, seed=seed, **shared), (d,), condition
    if kind == "principal_axes":
        layer = bijectors.PrincipalAxes([d], dtype="float64")
        rng = np.random.default_rng(seed)
        layer.initialize(tf.constant(rng.normal(size=(20, d)) @ rng.normal(size=(d, d))))
        return layer, (d,), None
    if kind == "stock":
        scale = 0.5 + np.random.default_rng(seed).uniform(size=d)  # of a vector map: scalar ones have a log-det each
        parts = [tfb.Shift(tf.Variable(scale)), tfb.ScaleMatvecDiag(scale), tfb.Sinh()]
        return bijectors.Stock(tfb.Chain(parts)), (d,), None
    if kind == "conditioned":
        coupling = bijectors.Coupling(
            draw(TRANSFORMERS), dense(seed), masks.half(d), **shared | {"condition_shape": [2]}
        )
        return bijectors.Conditioned(coupling, np.random.default_rng(seed).normal(size=2)), (d,), None
    if kind == "coupling":
        mask = np.asarray(draw(st.lists(st.booleans(), min_size=d, max_size=d)))
        mask[0], mask[-1] = True, False
        return bijectors.Coupling(draw(TRANSFORMERS), dense(seed), mask, **shared), (d,), condition
    if kind == "autoregressive":
        order = list(masks.random_permutation(d, seed))
        network = conditioners.MADE(hidden_units=[6], order=order, seed=seed, dtype="float64")
        return bijectors.Autoregressive(draw(TRANSFORMERS), network, [d], **shared), (d,), condition
    if kind == "elementwise":
        return bijectors.Elementwise(draw(TRANSFORMERS), [d], dtype="float64"), (d,), None
    if kind == "linear":
        return bijectors.InvertibleLinear([d], seed=seed, dtype="float64"), (d,), None
    if kind == "act_norm":
        return bijectors.ActNorm([d], dtype="float64"), (d,), None
    if kind == "permute":
        return bijectors.Permute(masks.random_permutation(d, seed)), (d,), None
    layers = [
        bijectors.ActNorm([d], dtype="float64"),
        bijectors.Coupling(draw(TRANSFORMERS), dense(seed), masks.half(d), **shared),
        bijectors.Invert(bijectors.Coupling(draw(TRANSFORMERS), dense(seed + 1), ~masks.half(d), **shared)),
        bijectors.Reverse(),
    ]
    return bijectors.Chain(layers), (d,), condition


@st.composite
def images(draw) -> tuple[bijectors.Bijector, tuple[int, ...], None]:
    """A bijector of images and its event shape."""
    h, w, c, seed = (2 * draw(st.integers(1, 2)), 2 * draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(seeds))
    network = conditioners.ConvNet(hidden_units=3, seed=seed, dtype="float64")
    kind = draw(st.sampled_from(["checkerboard", "squeeze", "conv", "multiscale"]))
    if kind == "squeeze":
        order = draw(st.sampled_from(["raster", "checkerboard", "dispersed"]))
        return bijectors.Squeeze(order=order), (h, w, c), None
    if kind == "conv":
        return bijectors.InvertibleConv1x1([h, w, c], seed=seed, dtype="float64"), (h, w, c), None
    if kind == "checkerboard":
        mask = masks.checkerboard(h, w, c, flip=draw(st.booleans()))
        return bijectors.Coupling(draw(TRANSFORMERS), network, mask, dtype="float64"), (h, w, c), None
    mask = masks.channel(h // 2, w // 2, 4 * c)
    coupling = bijectors.Coupling(draw(TRANSFORMERS), network, mask, dtype="float64")
    level = bijectors.Chain([bijectors.Squeeze(), coupling])
    return (
        bijectors.Multiscale([level, bijectors.ActNorm([h // 2, w // 2, 2 * c], dtype="float64")], [h, w, c]),
        (h, w, c),
        None,
    )


def events_are_close(value: tf.Tensor, other: tf.Tensor, tolerance: float, batch_ndims: int) -> np.ndarray:
    """Whether events agree in all elements, relative to 1 + |other|: booleans of the batch shape."""
    is_close = np.abs(value - other) <= tolerance * (1.0 + np.abs(other))
    return is_close.all(axis=tuple(range(batch_ndims, is_close.ndim)))


@given(
    made=st.one_of(vectors(), images()),
    batch=st.sampled_from([(), (3,), (2, 1, 2), (0,)]),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    value_scale=st.sampled_from([0.1, 1.0, 5.0]),
    seed=seeds,
)
def test_round_trips_and_log_dets(made, batch: tuple[int, ...], weight: float, value_scale: float, seed: int):
    bijector, event_shape, condition_size = made
    rng = np.random.default_rng(seed)
    for variable in bijector.trainable_variables:
        variable.assign_add(weight * rng.normal(size=variable.shape))
    x = tf.constant(value_scale * rng.normal(size=(*batch, *event_shape)))
    condition = {} if condition_size is None else {"condition": tf.constant(rng.normal(size=(*batch, condition_size)))}
    z, log_det = bijector.inverse_and_log_det(x, **condition)
    back, forward_log_det = bijector.forward_and_log_det(tf.identity(z), **condition)
    assert back.shape == x.shape
    assert log_det.shape == batch
    for tensor in (z, log_det, back, forward_log_det):
        assert np.isfinite(tensor).all()
    # Where z hardly depends on x, as in a gap between narrow components of a mixture (dz/dx down to 1e-60), one unit of
    # rounding of z is a wide interval of x. What comes back is then another x of the same z, with its own log-det: the
    # round trip starts there instead.
    again, log_det_again = bijector.inverse_and_log_det(tf.identity(back), **condition)
    is_recovered = events_are_close(back, x, 1e-8, len(batch))
    assert (is_recovered | events_are_close(again, z, 1e-6, len(batch))).all()
    # Rounding, times the steepest scale that weights of deviation one reach in these few layers: e^3 and its like.
    log_det = np.where(is_recovered, log_det, log_det_again)
    np.testing.assert_allclose(forward_log_det, -log_det, rtol=1e-5, atol=1e-5)
