import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp import transformers
from tfp_nvp.bijectors import ActNorm, Chain, Circle, Elementwise, InvertibleLinear, Squeeze, Subvector
from tfp_nvp.distributions import Flow, StandardNormal, TorusNormal

INF = math.inf
MIXED = ([0.0, -INF, -180.0], [24.0, INF, 180.0])


def test_hours_and_degrees_are_angles_and_back():
    circle = Circle(*MIXED, dtype="float64")
    z, log_det = circle.inverse_and_log_det([[12.0, 5.0, 0.0], [18.0, -1.0, 90.0], [42.0, 0.0, 450.0]])
    np.testing.assert_allclose(z, [[0.0, 5.0, 0.0], [math.pi / 2, -1.0, math.pi / 2], [math.pi / 2, 0.0, math.pi / 2]])
    np.testing.assert_allclose(log_det, 2.0 * math.log(2.0 * math.pi) - math.log(24.0) - math.log(360.0))
    np.testing.assert_allclose(circle.forward([[0.0, 5.0, 7.0 * math.pi / 2]]), [[12.0, 5.0, -90.0]], atol=1e-9)


def test_samples_never_reach_the_upper_end():
    z = np.nextafter(np.full([1, 3], math.pi, np.float32), np.float32([-INF]))
    for angles in (z, -z, np.full([1, 3], math.pi, np.float32)):
        x = Circle(*MIXED).forward(angles).numpy()[0]
        assert 0.0 <= x[0] < 24.0
        assert -180.0 <= x[2] < 180.0


def test_ranges_tell_which_base_fits():
    chain = Chain([Circle(*MIXED), Elementwise(transformers.Shift(), [3])])
    with pytest.raises(ValueError, match="has a support that does not fit: circle maps latents that are from"):
        Flow(StandardNormal([3]), Circle(*MIXED))
    with pytest.raises(ValueError, match="has a support that does not fit"):
        Flow(TorusNormal([True, False, True]), chain)
    flow = Flow(TorusNormal([True, False, True]), Circle(*MIXED))
    np.testing.assert_allclose(flow.data_range.low, MIXED[0])
    np.testing.assert_allclose(flow.data_range.high, MIXED[1])


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        ([0.0], [-1.0], "`low` must be below `high`"),
        ([0.0], [INF], "both finite or neither"),
        ([1e8], [1e8 + 24.0], "at least 4096 numbers of float32"),
        ([0.0], [1.0, 2.0], "vectors of one shape"),
    ],
)
def test_bounds_that_are_no_circle_are_refused(low, high, message):
    with pytest.raises(ValueError, match=message):
        Circle(low, high)


def test_a_subvector_is_its_bijector_on_some_elements(rng):
    linear = InvertibleLinear([2], seed=1, dtype="float64")
    some = Subvector(linear, [True, False, True])
    z = rng.normal(size=(5, 3))
    x, log_det = some.forward_and_log_det(z)
    right, right_log_det = linear.forward_and_log_det(z[:, [0, 2]])
    np.testing.assert_array_equal(x[:, 1], z[:, 1])
    np.testing.assert_array_equal(tf.gather(x, [0, 2], axis=1), right)
    np.testing.assert_array_equal(log_det, right_log_det)


def test_a_subvector_initializes_its_bijector_from_its_elements(rng):
    layer = Subvector(ActNorm([2], dtype="float64"), [True, False, True])
    assert not layer.is_initialized
    x = tf.constant(5.0 + 3.0 * rng.normal(size=(100, 3)))
    layer.initialize(x)
    z = layer.inverse(x).numpy()
    np.testing.assert_allclose(z[:, [0, 2]].mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_array_equal(z[:, 1], x[:, 1])


@pytest.mark.parametrize(
    ("bijector", "mask", "message"),
    [
        (ActNorm([2]), [True, False, False], "must map events"),
        (ActNorm([2]), [False, False], "`mask` must take some elements"),
        (ActNorm([2]), [1, 3], "`mask` must hold True and False, or 1 and 0; got 3"),
        (Squeeze(), [True, True], "must map events"),
    ],
)
def test_what_is_no_bijector_of_the_elements_is_refused(bijector, mask, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Subvector(bijector, mask)
