"""Networks that compute in bfloat16: an export of a slightly other flow, which says how much other and how fast."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.serving.conftest import affine, encoded, shaken
from tfp_nvp.serving import export, load, read_card
from tfp_nvp.training import AnomalyDetector, FlowModel

tfd = tfp.distributions

pytestmark = pytest.mark.filterwarnings("ignore:`compute` = 'bfloat16' is slower")


def wide() -> nvp.Flow:
    return shaken(nvp.RealNVP([4], num_layers=2, hidden_units=[32], seed=0))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    flow = wide()
    return flow, export(flow, tmp_path_factory.mktemp("compute") / "m", compute="bfloat16")  # and checked


def test_its_densities_are_close_and_not_the_same(exported):
    flow, folder = exported
    x = flow.sample(200, seed=1).numpy()
    error = np.abs(load(folder).log_prob(x) - flow.log_prob(x).numpy())
    assert 1e-5 < error.mean() < 0.05  # weights and activations of 8 bits
    card = read_card(folder)["compute"]
    assert card["dtype"] == "bfloat16"
    assert card["speed"] > 0.0
    assert error.mean() == pytest.approx(card["mean_error"], rel=0.5)
    assert "computed in bfloat16" in (folder / "assets.extra" / "README.md").read_text()


def test_it_is_a_flow(exported):
    """A network sees the same numbers in both directions, but for those that rounding moves by an ulp of bfloat16."""
    flow, folder = exported
    x, served = flow.sample(200, seed=1).numpy(), load(folder)
    z, log_det = served.encode(x)
    back, back_log_det = served.decode(z)
    assert np.median(np.abs(back - x)) < 1e-5
    np.testing.assert_allclose(back, x, atol=0.05)
    np.testing.assert_allclose(back_log_det, -log_det, atol=0.1)


def test_products_are_of_bfloat16_and_all_else_is_not(exported):
    graph = tf.saved_model.load(str(exported[1])).signatures["log_prob"].graph.as_graph_def()
    nodes = [node for function in graph.library.function for node in function.node_def]
    products = [node.attr["T"].type for node in nodes if node.op == "MatMul"]
    assert products
    assert set(products) == {tf.bfloat16.as_datatype_enum}
    assert all(node.attr["T"].type != tf.bfloat16.as_datatype_enum for node in nodes if node.op in ("Exp", "Tanh"))


def test_the_model_stays_as_it_is(exported):
    flow, _ = exported
    x = np.ones([3, 4], np.float32)
    np.testing.assert_array_equal(flow.log_prob(x), wide().log_prob(x))
    assert {layer.conditioner.compute_dtype for layer in flow.bijector.parts() if hasattr(layer, "conditioner")} == {
        "float32"
    }


def test_encoders_and_detectors_are_served_too(tmp_path):
    model = encoded()
    rows = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    x = model.distribution.sample(4, seed=1, condition=np.zeros([4], np.float32)).numpy()
    served = load(export(model, tmp_path / "encoder", compute="bfloat16", verify=False))
    np.testing.assert_allclose(served.log_prob(x, rows), model.log_prob(x, rows), atol=0.2)
    detector = AnomalyDetector(FlowModel(affine())).calibrate(affine().sample(99, seed=1), 0.1)
    folder = export(detector, tmp_path / "detector", compute="bfloat16", verify=False)
    score, _ = load(folder).score(x)
    np.testing.assert_allclose(score, detector.score(x), atol=0.2)
    assert "flags_changed" in read_card(folder)["compute"]


def test_weights_may_be_halved_too(tmp_path):
    folder = export(affine(), tmp_path / "m", compute="bfloat16", weights_dtype="bfloat16", verify=False)
    card = read_card(folder)
    assert card["weights"]["dtype"] == card["compute"]["dtype"] == "bfloat16"


@pytest.mark.parametrize(
    ("model", "compute", "message"),
    [
        (affine, "float16", "`compute` must be one of 'bfloat16'; got 'float16'"),
        (lambda: tfd.Normal(0.0, 1.0), "bfloat16", "`compute` = 'bfloat16' changes nothing"),
        (lambda: shaken(nvp.RealNVP([3], num_layers=1, dtype="float64")), "bfloat16", "networks of float32"),
    ],
)
def test_what_can_not_be(model, compute, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export(model(), tmp_path / "m", compute=compute)
    assert not (tmp_path / "m").exists()
