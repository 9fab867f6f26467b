"""Maps into bounds, of any bounds and latents: inside them, and both directions clamp at the same point."""

import numpy as np
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st

from tfp_nvp import bijectors

#: Standard deviations of latents.
SCALES = st.sampled_from([1e-3, 1.0, 10.0, 1e3, 1e30])
DTYPES = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**16)
N = 40

ends = st.builds(lambda mantissa, exponent: mantissa * 10.0**exponent, st.floats(-9.0, 9.0), st.integers(-6, 6))
lengths = st.builds(lambda mantissa, exponent: mantissa * 10.0**exponent, st.floats(1.0, 9.0), st.integers(-6, 6))


@st.composite
def supports(draw) -> tuple[bijectors.Support, np.ndarray, np.ndarray]:
    """A support of some columns, with its bounds in its own dtype."""
    dtype, d = draw(DTYPES), draw(st.integers(1, 4))
    low, high, scale = (np.zeros(d) for _ in range(3))
    for i in range(d):
        kind, end, scale[i] = draw(st.sampled_from(["both", "low", "high", "none"])), draw(ends), draw(lengths)
        low[i] = end if kind in ("both", "low") else -np.inf
        high[i] = {"both": end + scale[i], "high": end}.get(kind, np.inf)
    # Fewer numbers of the dtype between the bounds are refused.
    closest = np.spacing(np.nan_to_num(np.maximum(np.abs(low), np.abs(high)), posinf=0.0).astype(dtype))
    for bound in (low, high):
        finite = np.isfinite(bound)
        closest[finite] = np.maximum(closest[finite], np.spacing(np.abs(bound[finite]).astype(dtype)))
    assume((scale > 1024 * closest).all())
    log = np.asarray(draw(st.lists(st.booleans(), min_size=d, max_size=d)))
    return bijectors.Support(low, high, scale=scale, log=log, dtype=dtype), low.astype(dtype), high.astype(dtype)


def check(layer: bijectors.Bijector, z: np.ndarray, limits: tuple, room: float) -> np.ndarray:
    """Checks both directions at latents z [n, d], of which those beyond the limits count as the limits; returns x.

    `room` is the error of z besides rounding: a number of spacings of x, which the curves' tangents bound. A log-det
    is off by as much: the curves' log-slopes are 1-Lipschitz in z.
    """
    d, eps = z.shape[-1], np.finfo(z.dtype).eps
    held = np.clip(z, *limits)
    x, log_det = (np.asarray(value) for value in layer.forward_and_log_det(tf.constant(z), event_ndims=1))
    back, inverse_log_det = (np.asarray(value) for value in layer.inverse_and_log_det(tf.constant(x), event_ndims=1))
    for value in (x, back, log_det, inverse_log_det):
        assert np.isfinite(value).all()
    error = room + 16 * eps * (1.0 + np.abs(held))
    assert (np.abs(back - held) <= error).all()
    sizes = np.abs(held).sum(axis=-1) + np.log(np.finfo(z.dtype).max) * 1e-2
    assert (np.abs(log_det + inverse_log_det) <= d * room + 64 * eps * d * (1.0 + sizes)).all()
    return x


@given(made=supports(), scale=SCALES, seed=seeds)
def test_supports(made, scale: float, seed: int):
    layer, low, high = made
    z = (scale * np.random.default_rng(seed).normal(size=(N, len(low)))).clip(-1e37, 1e37).astype(low.dtype)
    most = np.finfo(low.dtype).max  # the inverse holds it to the largest number that the map reaches
    ends_of_z = [
        np.asarray(layer.inverse(np.where(np.isfinite(end), end, sign * most).astype(low.dtype)))
        for end, sign in ((low, -1.0), (high, 1.0))
    ]
    bounded = np.isfinite(low) | np.isfinite(high)
    ordered = np.minimum(*ends_of_z), np.maximum(*ends_of_z)  # with a high bound alone the map decreases
    limits = tuple(np.where(bounded, end, sign * np.inf) for end, sign in zip(ordered, (-1, 1), strict=True))
    # A spacing is 1/64 of the tangent's slope, where bounds are not so close that the tangent is shortened.
    x = check(layer, z, limits, 1.0 / 64.0)
    assert (x > low).all()
    assert (x < high).all()


@given(dtype=DTYPES, alpha=st.sampled_from([0.0, 1e-6, 0.05, 0.3, 0.49]), scale=SCALES, seed=seeds)
def test_logits(dtype: str, alpha: float, scale: float, seed: int):
    z = (scale * np.random.default_rng(seed).normal(size=(N, 2))).astype(dtype)
    beyond = alpha / (1.0 - 2.0 * alpha)
    low, high = np.asarray([-beyond, 1.0 + beyond], dtype)
    layer = bijectors.Logit(alpha)
    limits = tuple(float(layer.inverse(tf.constant(end))) for end in (low, high))
    x = check(layer, z, limits, 1.0 / 64.0)
    assert ((low < x) & (x < high)).all()


@given(dtype=DTYPES, scale=SCALES, seed=seeds)
def test_hyperbolic_sines(dtype: str, scale: float, seed: int):
    z = (scale * np.random.default_rng(seed).normal(size=(N, 2))).astype(dtype)
    most = np.arcsinh(np.finfo(dtype).max / 4.0)
    check(bijectors.Sinh([True, True], dtype=dtype), z, (-most, most), 0.0)


@given(
    dtype=DTYPES,
    num_bins=st.sampled_from([2, 3, 16, 256]),
    smoothing=st.sampled_from([1e-3, 0.05, 1.0]),
    peak=st.sampled_from([0.05, 0.5, 3.0]),
    seed=seeds,
)
def test_quantiles(dtype: str, num_bins: int, smoothing: float, peak: float, seed: int):
    """x comes back within the rounding of F, over the probability of its bin; z is that of the histogram."""
    rng = np.random.default_rng(seed)
    layer = bijectors.Quantile([2], num_bins=num_bins, smoothing=smoothing, dtype=dtype)
    layer.initialize(tf.constant(rng.beta(peak, peak, size=(300, 2)).astype(dtype)))
    x = rng.beta(peak, peak, size=(N, 2)).astype(dtype).clip(1e-6, 1.0 - 1e-6)
    z, log_det = layer.inverse_and_log_det(x)
    back, forward_log_det = layer.forward_and_log_det(z)
    eps = np.finfo(dtype).eps
    steepest = num_bins / smoothing  # the least probability of a bin, over its width
    assert np.isfinite([*np.ravel(z), *log_det, *forward_log_det]).all()
    np.testing.assert_allclose(back, x, rtol=0.0, atol=16 * eps * (1.0 + steepest / num_bins))
    probabilities = np.asarray(layer.probabilities, np.float64)
    scaled = np.asarray(x, np.float64) * num_bins
    place = np.minimum(scaled.astype(int), num_bins - 1)
    cumulative = np.concatenate([np.zeros([2, 1]), probabilities.cumsum(axis=-1)], axis=-1)
    column = np.broadcast_to(np.arange(2), place.shape)
    exact = cumulative[column, place] + (scaled - place) * probabilities[column, place]
    np.testing.assert_allclose(tf.sigmoid(z), exact, rtol=0.0, atol=64 * eps)
