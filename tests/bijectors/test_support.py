import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.bijectors import Support

INF = math.inf


def log_density(layer: Support, x) -> np.ndarray:
    """Of a standard normal z, seen at x."""
    z, log_det = layer.inverse_and_log_det(x)
    return (log_det + tf.reduce_sum(-0.5 * z**2 - 0.5 * math.log(2.0 * math.pi), axis=-1)).numpy()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.5, INF), (-INF, 1.0), (-INF, INF)])
def test_all_of_the_line_goes_into_the_bounds_and_all_density_with_it(low: float, high: float, rng):
    layer = Support([low], [high], dtype="float64")
    x = layer.forward(rng.normal(size=(1000, 1)) * 5.0).numpy()
    assert (x >= low).all()
    assert (x <= high).all()
    points = np.linspace(max(low, -12.0), min(high, 12.0), 20_001)[1:-1]
    assert np.exp(log_density(layer, points[:, np.newaxis])).sum() * (points[1] - points[0]) == pytest.approx(
        1.0, abs=1e-3
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_on_their_bounds_have_a_density(dtype: str, rng):
    low = rng.normal(size=300)
    high = low + rng.uniform(0.1, 3.0, size=300)
    layer = Support(low, high, dtype=dtype)
    for bound in (low, high):
        assert np.isfinite(layer.inverse_and_log_det(bound.astype(dtype))[1])


@pytest.mark.parametrize("x", [[-1.001, 0.0], [2.001, 0.0], [0.0, -0.001], [-1e30, 1.0], [INF, 1.0]])
def test_values_beyond_a_bound_have_none(x):
    assert float(Support([-1.0, 0.0], [2.0, INF]).inverse_and_log_det(x)[1]) == -INF


def test_nan_stays_nan():
    assert np.isnan(Support([0.0], [1.0]).inverse([math.nan])).all()


def test_gradients_are_finite_everywhere():
    layer = Support([-1.0, 0.0, -INF, -INF], [2.0, INF, 1.0, INF])
    for x in ([-1.0, 0.0, 1.0, 0.0], [2.0, 1e30, -1e30, 1e30], [2.0, 1e-30, 1.0, -1e30]):
        value = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(value)
            z, log_det = layer.inverse_and_log_det(value)
            total = tf.reduce_sum(z) + log_det
        assert np.isfinite(tape.gradient(total, value)).all()


def test_scale_is_the_length_of_a_single_bound():
    near, far = (float(Support([0.0], [INF], scale=[s]).forward([0.0])[0]) for s in (1.0, 100.0))
    assert far == pytest.approx(100.0 * near)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0], [0.0]), "`low` must be below `high`"),
        (([0.0, 0.0], [1.0]), "must be vectors of one shape"),
        ((0.0, 1.0), "must be vectors of one shape"),
    ],
)
def test_bounds_that_are_none_are_refused(arguments: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        Support(*arguments)
    with pytest.raises(ValueError, match="`scale` must be positive"):
        Support([0.0], [1.0], scale=[0.0])


def around_limits(layer: Support) -> np.ndarray:
    """Latents within the limits, at them, and far beyond: [n, 1]."""
    dtype = layer.dtype.as_numpy_dtype
    z = np.concatenate([np.linspace(-110.0, 110.0, 4001), np.linspace(-800.0, 800.0, 801), [-1e30, 1e30]])
    return np.append(z, np.finfo(dtype).max).astype(dtype)[:, np.newaxis]


SUPPORTS = [(0.0, INF), (-INF, 0.0), (0.0, 1.0), (10.0, 11.5), (1000.0, 1001.0), (-3.0, 5.0), (-INF, 7.0), (0.1, 0.7)]
MAPS = [(low, high, log) for low, high in SUPPORTS for log in ((False, True) if INF in (-low, high) else (False,))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("low", "high", "log"), [*MAPS, (0.0, 1e30, False), (-1e-3, INF, True)])
def test_both_directions_agree_up_to_the_limits_and_beyond(low, high, log, dtype):
    """Rounding x moves z by at most half of 1/64 (SPACINGS), and by a few eps of z and of logarithms as large."""
    layer = Support([low], [high], log=[log], scale=[3.0], dtype=dtype)
    z = around_limits(layer)
    x, log_det = layer.forward_and_log_det(z)
    assert (x > low).numpy().all()
    assert (x < high).numpy().all()
    back, inverse_log_det = layer.inverse_and_log_det(tf.identity(x))
    limits = back.numpy().min(), back.numpy().max()
    assert limits[0] < -4.9
    assert limits[1] > 4.9
    bound = 1 / 128 + 8 * np.finfo(dtype).eps * (1 + np.abs(np.clip(z, *limits)))
    assert (np.abs(back - np.clip(z, *limits)) <= bound).all()
    assert (np.abs(log_det + inverse_log_det) <= bound[:, 0] + 8 * np.finfo(dtype).eps * np.abs(log_det)).all()
    beyond = x.numpy()[(z < limits[0] - 1.0) | (z > limits[1] + 1.0)]
    assert set(beyond) <= {x.numpy().min(), x.numpy().max()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("low", "high", "log"), MAPS)
def test_gradients_beyond_the_limits_are_those_at_the_limits(low, high, log, dtype):
    layer = Support([low], [high], log=[log], dtype=dtype)
    z = tf.constant(around_limits(layer))
    with tf.GradientTape() as tape:
        tape.watch(z)
        x = layer.forward(z)
    slopes = tape.gradient(x, z).numpy()
    bounds = [bound for bound in (low, high) if np.isfinite(bound)]
    on_bounds = tf.constant(np.array(bounds, dtype)[:, np.newaxis])
    with tf.GradientTape() as tape:
        tape.watch(on_bounds)
        back, log_det = layer.inverse_and_log_det(on_bounds)
    for gradients in (slopes, tape.gradient(back, on_bounds).numpy()):
        assert np.isfinite(gradients).all()
        assert (gradients != 0.0).all()
    assert np.isfinite(log_det).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("high", "log"), [(1.0, False), (INF, False), (INF, True)])
@pytest.mark.parametrize("width", [1.0, 4.0, 16.0])
def test_no_mass_is_lost_over_decades(high, log, width, dtype):
    """Of a logistic z: the density over distances from each bound integrates to the probability between their ends."""
    layer = Support([0.0], [high], log=[log], dtype=dtype)
    spacing, tiny = float(np.finfo(dtype).eps) / 2, float(np.finfo(dtype).tiny)

    def latents(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z, log_det = layer.inverse_and_log_det(x[:, np.newaxis].astype(dtype))
        return z.numpy()[:, 0].astype(np.float64) / width, log_det.numpy().astype(np.float64)

    def density(x: np.ndarray) -> np.ndarray:
        z, log_det = latents(x)
        return np.exp(log_det - np.abs(z) - 2.0 * np.log1p(np.exp(-np.abs(z)))) / width

    def probability(least: float, most: float) -> float:
        z, _ = latents(np.array([least, most]))
        return float(np.diff(0.5 * (1.0 + np.tanh(0.5 * z)))[0])

    most = 0.5 if high == 1.0 else 1e30
    distances = np.exp(np.linspace(np.log(tiny), np.log(most), 40_001))
    found = np.trapezoid(density(distances) * distances, np.log(distances))
    assert found == pytest.approx(probability(tiny, most), abs=1e-4)
    if high == 1.0:
        grid = np.arange(1, 2**14 + 1)  # all numbers next to 1
        found = np.trapezoid(density(1.0 - spacing * grid), dx=spacing)
        assert found == pytest.approx(probability(1.0 - 2**14 * spacing, 1.0 - spacing), abs=1e-4)


@pytest.mark.parametrize("arguments", [([1e5], [1e5 + 2.0], None), ([1e7], [INF], [2.0])])
def test_intervals_that_the_dtype_cannot_resolve_are_refused(arguments):
    low, high, scale = arguments
    with pytest.raises(ValueError, match="at least 512 numbers of float32"):
        Support(low, high, scale=scale)
    Support(low, high, scale=scale, dtype="float64")


def test_an_edge_maps_closer_values_to_one_unit_of_z():
    layer = Support([0.0], [INF], log=[True], edge=([0.01], [0.0]))
    z = layer.inverse([[0.01], [0.005], [0.0]]).numpy().ravel()
    np.testing.assert_allclose(z, np.log(0.01) - [0.0, 0.5, 1.0], rtol=1e-6)


def test_a_value_on_its_bound_counts_as_one_inside_and_keeps_its_derivative():
    layer = Support([0.0, 0.0], [9.0, np.inf], on_bound=([0.25, 0.25], [0.25, 0.0]))
    x, inside = tf.constant([[0.0, 0.0], [9.0, 0.0]]), tf.constant([[0.25, 0.25], [8.75, 0.25]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, inside])
        z, log_det = layer.inverse_and_log_det(x)
        right, right_log_det = layer.inverse_and_log_det(inside)
    np.testing.assert_array_equal(z, right)
    np.testing.assert_array_equal(log_det, right_log_det)
    np.testing.assert_allclose(tape.gradient(z, x), tape.gradient(right, inside))
    for wrong in ([-1.0, 0.0], [np.nan, 0.0], [9.0, 0.0]):
        with pytest.raises(ValueError, match="`on_bound` must be distances within the bounds, at least 0; got"):
            Support([0.0, 0.0], [9.0, np.inf], on_bound=(wrong, [0.0, 0.0]))
