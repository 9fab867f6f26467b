import numpy as np
import pytest

from tfp_nvp import masks
from tfp_nvp.bijectors import Conditioned, Coupling, Reverse
from tfp_nvp.conditioners import MLP
from tfp_nvp.transformers import Affine


@pytest.fixture
def coupling(rng) -> Coupling:
    coupling = Coupling(Affine(), MLP(4, hidden_units=[8], seed=0), masks.half(3), condition_shape=[2])
    coupling.conditioner.output_layer.kernel.assign(rng.normal(size=(8, 4)))
    return coupling


def test_it_is_the_conditional_one_at_its_condition(coupling, rng):
    condition, x = rng.normal(size=(4, 2)), rng.normal(size=(5, 4, 3))
    conditioned = Conditioned(coupling, condition)
    for result, right in zip(
        conditioned.inverse_and_log_det(x), coupling.inverse_and_log_det(x, condition=condition), strict=True
    ):
        np.testing.assert_array_equal(result, right)
    np.testing.assert_array_equal(
        conditioned.inverse_log_det_jacobian(x.astype(np.float32), 1), conditioned.inverse_and_log_det(x)[1]
    )


def test_the_conditions_batch_is_its_own(coupling):
    conditioned = Conditioned(coupling, np.zeros([4, 1, 2]))
    assert conditioned.experimental_batch_shape() == [4, 1]
    np.testing.assert_array_equal(conditioned.experimental_batch_shape_tensor(), [4, 1])
    assert conditioned.condition_shape is None


def test_what_takes_no_condition_is_refused(coupling):
    with pytest.raises(ValueError, match="takes no condition"):
        Conditioned(Reverse(), np.zeros([2]))
    with pytest.raises(ValueError, match="must end in the condition shape"):
        Conditioned(coupling, np.zeros([3]))
