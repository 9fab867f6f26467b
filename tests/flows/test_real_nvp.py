import numpy as np
import pytest

from tfp_nvp.bijectors import ActNorm, Coupling, Permute
from tfp_nvp.flows import RealNVP
from tfp_nvp.transformers import Affine, RationalQuadratic


def kinds(flow: RealNVP, kind: type) -> list:
    return [layer for layer in flow.bijector.bijectors if isinstance(layer, kind)]


def test_each_coupling_is_affine_and_stands_after_an_act_norm():
    flow = RealNVP([3], num_layers=4, hidden_units=[8])
    assert {layer.transformer for layer in kinds(flow, Coupling)} == {Affine()}
    assert len(kinds(flow, ActNorm)) == 4


def test_only_wide_events_are_permuted():
    assert len(kinds(RealNVP([2], num_layers=4, hidden_units=[8]), Permute)) == 0
    assert len(kinds(RealNVP([3], num_layers=4, hidden_units=[8]), Permute)) == 1


def test_another_transformer_can_be_given(rng):
    flow = RealNVP([3], num_layers=2, hidden_units=[8], transformer=RationalQuadratic(num_bins=4))
    assert kinds(flow, Coupling)[0].conditioner.num_outputs == 11 * 2
    with pytest.raises(TypeError, match="`transformer` must be a Transformer"):
        RealNVP([3], transformer="affine")


def test_a_deep_flow_of_any_weights_does_not_overflow(rng):
    """Each of 20 layers scales by at most exp(3), whatever its network says."""
    flow = RealNVP([4], num_layers=20, hidden_units=[16], activation="tanh", seed=0)
    for coupling in kinds(flow, Coupling):
        coupling.conditioner.output_layer.kernel.assign(10.0 * rng.normal(size=(16, 4)))
    z, log_det = flow.encode(rng.normal(size=(10, 4)))
    assert np.isfinite(z).all()
    assert (np.abs(log_det) <= 20 * 2 * 3.0).all()
    assert np.isfinite(flow.sample(10, seed=1)).all()
