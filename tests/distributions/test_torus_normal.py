import math

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.distributions import TorusNormal

LOG_TURN = math.log(2.0 * math.pi)


def test_density_and_entropy_are_those_of_uniform_angles_and_normal_numbers():
    base = TorusNormal([True, False, True], dtype="float64")
    assert float(base.log_prob([1.0, 2.0, -3.0])) == pytest.approx(-2.5 * LOG_TURN - 2.0)
    assert float(base.log_prob([1.0 + 2.0 * math.pi, 2.0, -3.0])) == pytest.approx(-2.5 * LOG_TURN - 2.0)
    assert float(base.entropy()) == pytest.approx(2.0 * LOG_TURN + 0.5 * (1.0 + LOG_TURN))
    assert np.isnan(base.log_prob([np.nan, 0.0, 0.0]))


def test_samples_are_uniform_and_normal():
    x = TorusNormal([True, False]).sample(20_000, seed=1).numpy()
    assert np.abs(x[:, 0]).max() <= math.pi * (1.0 + 1e-7)
    counts = np.histogram(x[:, 0], 20, (-math.pi, math.pi))[0]
    assert np.abs(counts - 1000).max() < 5 * math.sqrt(1000)
    assert abs(x[:, 1].mean()) < 0.035
    assert abs(x[:, 1].std() - 1.0) < 0.025
    assert abs(np.corrcoef(x.T)[0, 1]) < 0.035


def test_its_event_space_bijector_reaches_the_circle():
    onto = TorusNormal([True, False]).experimental_default_event_space_bijector()
    x = onto.forward(tf.constant([[-30.0, -30.0], [30.0, 30.0]])).numpy()
    assert np.abs(x[:, 0]).max() < math.pi
    np.testing.assert_array_equal(x[:, 1], [-30.0, 30.0])


@pytest.mark.parametrize("circular", [["a"], True, [[True]]])
def test_only_a_vector_of_booleans_tells_which_elements_are_angles(circular):
    with pytest.raises(TypeError, match="`circular` must be a vector of booleans"):
        TorusNormal(circular)
