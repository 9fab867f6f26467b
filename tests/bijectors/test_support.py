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
