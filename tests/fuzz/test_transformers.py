"""Transformers of any raw numbers, tame to wild: finite, monotone, and each direction undoes the other."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import example, given
from hypothesis import strategies as st

from tfp_nvp import transformers

tfb = tfp.bijectors
N = 64


def softplus_scale(raw: tf.Tensor) -> tfb.Bijector:
    return tfb.Chain([tfb.Shift(raw[1]), tfb.Scale(1e-3 + tf.math.softplus(raw[0]))])


SPLINES = st.builds(
    transformers.RationalQuadratic,
    num_bins=st.sampled_from([2, 3, 5, 8]),
    bound=st.sampled_from([0.1, 1.0, 5.0, 30.0]),
    min_width=st.sampled_from([1e-5, 1e-4, 1e-3, 1e-2]),
    min_height=st.sampled_from([1e-5, 1e-3, 1e-2]),
    min_slope=st.sampled_from([1e-3, 1e-2, 0.5]),
)
KINDS = {
    "Shift": st.just(transformers.Shift()),
    "Affine": st.builds(transformers.Affine, bound=st.sampled_from([0.1, 3.0, 10.0])),
    "RationalQuadratic": SPLINES,
    "MixtureOfLogistics": st.builds(
        transformers.MixtureOfLogistics, num_components=st.sampled_from([1, 2, 8]), bound=st.sampled_from([0.5, 5.0])
    ),
    "Bernstein": st.builds(transformers.Bernstein, degree=st.sampled_from([4, 9]), bound=st.sampled_from([1.0, 5.0])),
    "SumOfSquares": st.builds(transformers.SumOfSquares, degree=st.sampled_from([1, 3])),
    "DeepSigmoidal": st.builds(transformers.DeepSigmoidal, num_units=st.sampled_from([1, 4])),
    "UnconstrainedMonotonic": st.builds(transformers.UnconstrainedMonotonic, num_units=st.sampled_from([1, 4])),
    "FromBijector": st.just(transformers.FromBijector(softplus_scale, num_parameters=2)),
}
#: Standard deviations of raw numbers, and of values.
RAW, VALUES = (0.0, 0.1, 1.0, 5.0, 30.0, 1e4), (1e-6, 1.0, 10.0, 1e4, 1e30)


def arrays(transformer, dtype: str, raw_scale: float, value_scale: float, seed: int):
    rng = np.random.default_rng(seed)
    raw = raw_scale * rng.normal(size=(transformer.num_parameters, N))
    values = np.sort(value_scale * rng.normal(size=N))
    return tf.constant(values, dtype), tf.constant(raw, dtype)


cases = given(
    data=st.data(),
    dtype=st.sampled_from(["float32", "float64"]),
    raw_scale=st.sampled_from(RAW),
    value_scale=st.sampled_from(VALUES),
    seed=st.integers(0, 2**32 - 1),
)


@pytest.mark.parametrize("kind", KINDS)
@cases
def test_values_and_gradients_are_finite(kind: str, data, dtype: str, raw_scale: float, value_scale: float, seed: int):
    transformer = data.draw(KINDS[kind])
    values, raw = arrays(transformer, dtype, raw_scale, value_scale, seed)
    for direction in (transformer.forward, transformer.inverse):
        with tf.GradientTape() as tape:
            tape.watch([values, raw])
            result, log_det = direction(values, raw)
            total = tf.reduce_sum(result / value_scale) + tf.reduce_sum(log_det)
        for tensor in (result, log_det, *tape.gradient(total, [values, raw], unconnected_gradients="zero")):
            assert np.isfinite(tensor).all()


@pytest.mark.parametrize("kind", KINDS)
@cases
def test_it_is_monotone(kind: str, data, dtype: str, raw_scale: float, value_scale: float, seed: int):
    transformer = data.draw(KINDS[kind])
    values, raw = arrays(transformer, dtype, raw_scale, value_scale, seed)
    raw = tf.tile(raw[:, :1], [1, N])
    for direction in (transformer.forward, transformer.inverse):
        result = np.asarray(direction(values, raw)[0], np.float64)
        # Two neighbours are each off by some units of rounding of the largest number that they were made of.
        largest = np.abs(result) + np.abs(np.asarray(raw)).max() + 2.0 * getattr(transformer, "bound", 1.0) + 1.0
        room = 64 * np.finfo(dtype).eps * largest
        assert (np.diff(result) >= -(room[1:] + room[:-1])).all()


def at_once(function, start: tf.Tensor, width: tf.Tensor, steps: np.ndarray, raw: tf.Tensor) -> tuple:
    """Results and log-dets [steps, N] of start + step · width, in one call."""
    values = tf.concat([start + step * width for step in steps], axis=0)
    results = function(values, tf.tile(raw, [1, len(steps)]))
    return tuple(tf.reshape(result, [len(steps), N]) for result in results)


@pytest.mark.parametrize("kind", KINDS)
@cases
@example(data=None, dtype="float32", raw_scale=0.0, value_scale=1.0, seed=0)
def test_each_direction_undoes_the_other(kind: str, data, dtype: str, raw_scale: float, value_scale: float, seed: int):
    """x′ = forward(inverse(x)) is x within rounding of x, and of z where the slope carries it to x.

    Both log-dets are those of a slope within the interval that rounding makes of z.
    """
    transformer = transformers.Shift() if data is None else data.draw(KINDS[kind])
    x, raw = arrays(transformer, dtype, min(raw_scale, 30.0), min(value_scale, 1e4), seed)
    z, log_det = transformer.inverse(x, raw)
    back, forward_log_det = transformer.forward(tf.identity(z), raw)
    eps = 64 * np.finfo(dtype).eps
    bound = 2.0 * getattr(transformer, "bound", 1.0) + float(tf.reduce_max(tf.abs(raw)))
    z_room = eps * (tf.abs(z) + bound)
    around, log_slopes_around = at_once(transformer.forward, z, z_room, np.linspace(-1.0, 1.0, 9), raw)
    low, high = around[0], around[-1]
    x_room = eps * (tf.abs(x) + bound)
    for value in (x, back):
        assert ((low - x_room <= value) & (value <= high + x_room)).numpy().all()
    # In a gap between narrow components, one unit of rounding of z is a wide interval of x: slopes from both sides.
    _, log_slopes_between = at_once(transformer.inverse, low, high - low, np.linspace(0.0, 1.0, 33), raw)
    slopes = np.concatenate([log_slopes_around, -log_slopes_between])
    for log_slope in (-np.asarray(log_det), np.asarray(forward_log_det)):
        assert (log_slope >= slopes.min(axis=0) - 0.05).all()
        assert (log_slope <= slopes.max(axis=0) + 0.05).all()
