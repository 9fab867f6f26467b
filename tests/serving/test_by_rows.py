"""The number of a request's rows chooses how autoregressive layers are solved."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.serving.conftest import shaken
from tests.serving.rounding import within
from tfp_nvp.serving import load, read_card

RULE = object()


def masked(kind=nvp.MAF):
    return shaken(kind([9], num_layers=2, hidden_units=[8], seed=0))


@pytest.fixture(scope="module")
def flow():
    return masked()


def exported(flow, tmp_path, parallel_rows=RULE):
    arguments = {} if parallel_rows is RULE else {"parallel_rows": parallel_rows}
    folder = nvp.export(flow, tmp_path / "m", verify=False, **arguments)
    return load(folder), read_card(folder), (folder / "assets.extra" / "README.md").read_text()


@pytest.mark.parametrize("parallel_rows", [0, 3])
def test_rows_are_the_same_in_small_and_large_requests(flow, tmp_path, parallel_rows):
    served, card, text = exported(flow, tmp_path, parallel_rows)
    assert card["sequential"] == {"signatures": ["sample", "sample_tempered", "decode"], "parallel_rows": parallel_rows}
    assert ("in requests of up to 3 rows" if parallel_rows else "for blocks of elements") in text
    z = np.random.default_rng(0).normal(size=[8, 9]).astype("float32")
    x, log_det = served.decode(z)
    for rows in (slice(3), slice(2, 3), slice(0)):
        few, few_log_det = served.decode(z[rows])
        np.testing.assert_allclose(few, x[rows], **within())
        np.testing.assert_allclose(few_log_det, log_det[rows], **within())
    back, back_log_det = served.encode(x)
    np.testing.assert_allclose(back, z, **within())
    np.testing.assert_allclose(back_log_det, -log_det, **within())


def test_the_rule_goes_by_the_sizes_of_the_networks(flow, tmp_path):
    _, card, _ = exported(flow, tmp_path)
    assert 100 < card["sequential"]["parallel_rows"] < 10_000


def test_densities_of_an_iaf_are_sequential(tmp_path):
    _, card, _ = exported(masked(nvp.IAF), tmp_path, 2)
    assert card["sequential"]["signatures"] == ["log_prob", "encode"]


def test_a_flow_that_is_not_sequential(tmp_path):
    _, card, text = exported(shaken(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0)), tmp_path, 5)
    assert card["sequential"] is None
    assert "autoregressive" not in text


def test_four_elements_are_solved_at_once_in_any_batch(tmp_path):
    _, card, text = exported(shaken(nvp.MAF([4], num_layers=1, hidden_units=[4], seed=0)), tmp_path)
    assert card["sequential"]["parallel_rows"] is None
    assert "decode solve for all elements at once |" in text


@pytest.mark.parametrize("wrong", [-1, 1.5, "all"])
def test_what_is_no_number_of_rows(flow, tmp_path, wrong):
    with pytest.raises((TypeError, ValueError), match="`parallel_rows` must be"):
        nvp.export(flow, tmp_path / "m", parallel_rows=wrong)
    assert not (tmp_path / "m").exists()


def nodes_run(folder, signature, inputs):
    """How many nodes one run of a signature executes, by RunMetadata."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        definition = tf.compat.v1.saved_model.load(session, ["serve"], str(folder)).signature_def[signature]
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        fetched = [tensor.name for tensor in definition.outputs.values()]
        metadata, full = tf.compat.v1.RunMetadata(), tf.compat.v1.RunOptions.FULL_TRACE
        session.run(fetched, feed, options=tf.compat.v1.RunOptions(trace_level=full), run_metadata=metadata)
    return sum(len(device.node_stats) for device in metadata.step_stats.dev_stats)


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_a_sample_of_many_elements_runs_a_third_of_the_nodes(tmp_path):
    flow = shaken(nvp.MAF([64], num_layers=2, hidden_units=[64], seed=0))
    seed = {"seed": np.array([[0, 1]], np.int32)}
    blocks, at_once = (
        nodes_run(nvp.export(flow, tmp_path / "m", verify=False, parallel_rows=rows), "sample", seed) for rows in (0, 9)
    )
    assert at_once < 0.3 * blocks
