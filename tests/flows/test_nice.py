import numpy as np
import pytest

from tfp_nvp.bijectors import Coupling
from tfp_nvp.flows import NICE
from tfp_nvp.transformers import Shift


def test_its_volume_is_that_of_its_scale_alone(rng):
    """Section 3.3 of the paper: the couplings keep volume, the last layer scales."""
    flow = NICE([4], num_layers=3, hidden_units=[8], seed=0)
    for variable in flow.trainable_variables:
        variable.assign_add(0.5 * rng.normal(size=variable.shape))
    _, log_det = flow.encode(3.0 * rng.normal(size=(20, 4)))
    _, of_scale = flow.bijector.bijectors[0].inverse_and_log_det(np.zeros(4))
    np.testing.assert_allclose(log_det, float(of_scale), rtol=1e-5)
    assert float(of_scale) != 0.0


def test_its_couplings_are_additive():
    flow = NICE([4], num_layers=3, hidden_units=[8])
    assert {layer.transformer for layer in flow.bijector.bijectors if isinstance(layer, Coupling)} == {Shift()}


def test_an_additive_coupling_is_equation_10_of_the_paper(rng):
    """y₁ = x₁ and y₂ = x₂ + m(x₁)."""
    (coupling,) = [b for b in NICE([4], num_layers=1, hidden_units=[8]).bijector.bijectors if isinstance(b, Coupling)]
    coupling.conditioner.output_layer.kernel.assign(rng.normal(size=(8, 2)))
    z = rng.normal(size=(5, 4)).astype(np.float32)
    x = coupling.forward(z).numpy()
    np.testing.assert_array_equal(x[:, ::2], z[:, ::2])
    np.testing.assert_allclose(x[:, 1::2], z[:, 1::2] + coupling.conditioner(z[:, ::2]), rtol=1e-5)
    assert float(coupling.inverse_and_log_det(x)[1][0]) == pytest.approx(0.0)
