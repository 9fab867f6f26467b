"""TarFlow: patches of images, forth and back."""

import keras
import numpy as np
import pytest

import tfp_nvp as nvp
from tfp_nvp import bijectors


def test_layers_go_over_the_patches_in_turns():
    flow = nvp.TarFlow([4, 6, 1], num_layers=3, hidden_units=8, num_blocks=1, seed=0)
    layers = [layer for layer in flow.submodules if isinstance(layer, bijectors.Autoregressive)]
    assert [layer.conditioner.num_tokens for layer in layers] == [6, 6, 6]
    assert sum(isinstance(layer, bijectors.Reverse) for layer in flow.submodules) == 2
    with pytest.raises(ValueError, match="multiples of patch_size = 3"):
        nvp.TarFlow([4, 6, 1], patch_size=3)


@pytest.mark.exhaustive
def test_it_learns_what_patches_have_in_common(rng):
    """Images of one grey level each, with noise: all patches but one follow from the others."""
    x = (rng.normal(size=(1024, 1, 1, 1)) + 0.3 * rng.normal(size=(1024, 4, 4, 1))).astype("float32")
    entropy = 0.5 * np.linalg.slogdet(2.0 * np.pi * np.e * (np.ones([16, 16]) + 0.09 * np.eye(16)))[1]
    model = nvp.FlowModel(nvp.TarFlow([4, 4, 1], num_layers=2, hidden_units=16, num_blocks=1, seed=0))
    model.compile(keras.optimizers.Adam(5e-3), steps_per_execution=8)
    model.fit(x, batch_size=128, epochs=12, verbose=0)
    nll = model.evaluate(x, verbose=0, return_dict=True)["nll"]
    assert entropy - 0.5 < nll < entropy + 2.0  # of independent numbers it is 15.7 nats above
    between = np.corrcoef(model.sample(500, seed=0).numpy().reshape(500, 16).T)
    assert between[0, 15] > 0.7
