"""Folders: versions, atomicity, what is refused, and what is left behind (nothing)."""

import importlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.serving.rounding import IN_ANOTHER_BATCH
from tfp_nvp.serving import export, load, read_card
from tfp_nvp.serving._exporting import servable
from tfp_nvp.serving._folders.versions import publish, temporary_sibling, versions
from tfp_nvp.training import FlowModel

tfb, tfd = tfp.bijectors, tfp.distributions
exporting = importlib.import_module("tfp_nvp.serving._exporting.export")


def stock(value=0.0):
    return tfd.Normal(tf.Variable(value), 1.0)


def test_versions_count_up_and_nothing_is_overwritten(tmp_path):
    path = tmp_path / "models" / "moons"
    assert export(stock(1.0), path, verify=False) == path / "1"
    assert export(stock(2.0), path, version=7, verify=False) == path / "7"
    (path / "notes").mkdir()
    assert export(stock(3.0), str(path), verify=False) == path / "8"
    with pytest.raises(FileExistsError, match=r"Version 7 of .* exists. Leave `version` out"):
        export(stock(4.0), path, version=7, verify=False)
    assert sorted(child.name for child in path.iterdir()) == ["1", "7", "8", "notes"]
    for folder, mean in ((path / "1", 1.0), (path / "7", 2.0), (path, 3.0)):
        assert load(folder).log_prob([mean]) == stock(mean).log_prob(mean).numpy()


def test_a_version_is_complete_and_readable_by_other_users(tmp_path):
    folder = export(stock(), tmp_path / "m", verify=False)
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/tf_serving_warmup_requests"):
        assert (folder / name).is_file()
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask


def test_processes_that_publish_at_once_get_a_version_each(tmp_path):
    def publish_one(i):
        with temporary_sibling(tmp_path) as folder:
            (folder / "who").write_text(str(i))
            return publish(folder, tmp_path, None)

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(publish_one, range(24)))
    assert versions(tmp_path) == list(range(1, 25))
    assert len(list(tmp_path.iterdir())) == 24
    assert [(folder / "who").read_text() for folder in folders] == [str(i) for i in range(24)]


def test_a_version_that_another_process_took_meanwhile_stays(tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "theirs").touch()
    with temporary_sibling(tmp_path) as folder:
        (folder / "ours").touch()
        with pytest.raises(FileExistsError, match="Version 3"):
            publish(folder, tmp_path, 3)
    assert [child.name for child in tmp_path.iterdir()] == ["3"]
    assert [child.name for child in (tmp_path / "3").iterdir()] == ["theirs"]


def test_versions_that_no_server_loads(tmp_path):
    (tmp_path / "m" / str(2**63)).mkdir(parents=True)
    (tmp_path / "m" / ("9" * 5000)[:200]).mkdir()
    assert versions(tmp_path / "m") == []
    for version in (2**63, 2**70):
        with pytest.raises(ValueError, match=r"`version` must be in \[1, 9223372036854775807\]; got"):
            export(stock(), tmp_path / "m", version=version, verify=False)
    assert export(stock(), tmp_path / "m", version=2**63 - 1, verify=False).name == str(2**63 - 1)
    with temporary_sibling(tmp_path / "m") as folder, pytest.raises(ValueError, match=r"`version` must be in \[1, "):
        publish(folder, tmp_path / "m", None)


@pytest.mark.parametrize("path", [".", "below/.."])
def test_a_path_without_a_name_has_that_of_its_folder(path, tmp_path, monkeypatch):
    (tmp_path / "moons" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "moons")
    assert read_card(export(stock(), path, verify=False))["name"] == "moons"


@pytest.mark.parametrize(
    ("place", "step"), [(servable, "write_warmup"), (servable, "verify_folder"), (exporting, "publish")]
)
def test_a_failure_leaves_nothing(place, step, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError(step)

    monkeypatch.setattr(servable, "verify_folder", lambda folder, cases, **_: None)
    monkeypatch.setattr(place, step, fail)
    with pytest.raises(RuntimeError, match=step):
        export(stock(), tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_the_folder_is_hidden_until_it_is_checked(tmp_path, monkeypatch):
    seen = []

    def see(folder, cases, **options):
        seen.append((folder.name, versions(tmp_path)))

    monkeypatch.setattr(servable, "verify_folder", see)
    export(stock(), tmp_path)
    ((name, before),) = seen
    assert name.startswith(".")
    assert before == []
    assert versions(tmp_path) == [1]


def uninitialized():
    return nvp.NeuralSplineFlow([2], num_layers=1, hidden_units=4, seed=0)


def not_a_number():
    return tfd.Normal(tf.Variable(np.nan, name="loc"), 1.0)


def without_input_spec():
    class Shapeless(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    flow = nvp.RealNVP([2], num_layers=1, hidden_units=[4], condition_shape=[3], seed=0)
    flow.initialize(np.eye(2), np.zeros([2, 3]))
    return FlowModel(flow, encoder=Shapeless(name="shapeless"))


def with_python():
    forward = tfb.Inline(lambda z: tf.numpy_function(np.exp, [z], tf.float32), tf.math.log, lambda x: -tf.math.log(x),
                         forward_min_event_ndims=0)  # fmt: skip
    return tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), tfb.Chain([forward]))


def with_xla():
    log = tf.function(tf.math.log, jit_compile=True)
    bijector = tfb.Inline(tf.exp, log, lambda x: -tf.math.log(x), forward_min_event_ndims=0)
    return tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), tfb.Chain([bijector]))


def with_a_random_state():
    bijector = tfb.Inline(lambda z: z + tf.random.uniform([]), tf.identity, tf.zeros_like, forward_min_event_ndims=0)
    return tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), tfb.Chain([bijector]))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (uninitialized, ValueError, "seen no data. Call `flow.initialize"),
        (not_a_number, ValueError, "1 weight.s. of `model` are NaN or infinite: loc:0"),
        (
            lambda: "flow",
            TypeError,
            "any tfd.Distribution, a FlowModel or an AnomalyDetector; got 'flow'",
        ),
        (lambda: tfd.Normal([0.0, 1.0], 1.0), ValueError, r"must have the batch shape \[\].*\[2\].*tfd.Independent"),
        (lambda: tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)]), ValueError, "one event of a known shape"),
        (without_input_spec, ValueError, "'shapeless' does not say what its input looks like"),
        (with_python, ValueError, "'sample' can't be served.*calls back into Python"),
        (with_xla, ValueError, "'log_prob' can't be served.*jit_compile=True"),
        (with_a_random_state, ValueError, "'sample' can't be served.*random state"),
    ],
)
def test_models_that_no_server_can_take_are_refused(model, error, message, tmp_path):
    with pytest.raises(error, match=message):
        export(model(), tmp_path / "m", verify=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"version": 0}, ValueError, r"`version` must be in \[1, 9223372036854775807\]; got 0"),
        ({"version": "2"}, TypeError, "`version` must be an integer"),
        ({"path": "gs://bucket/m"}, ValueError, "`path` must be on a file system"),
        ({"path": Path("gs://bucket/m")}, ValueError, "`path` must be on a file system"),
        ({"path": ""}, ValueError, "`path` must name a file or folder; got ''"),
        ({"path": None}, TypeError, "`path` must be a path; got None"),
        ({"path": 3}, TypeError, "`path` must be a path; got 3"),
        ({"warmup": np.zeros([4, 2])}, ValueError, r"`warmup` must hold rows of shape \[3\]; got shape \(4, 2\)"),
        ({"warmup": np.zeros([0, 3])}, ValueError, "at least one row"),
        ({"warmup": np.full([2, 3], np.nan)}, ValueError, "`warmup` must be finite"),
        ({"warmup_condition": np.zeros([2, 3])}, ValueError, r"rows for \[\]; got \['condition'\]"),
    ],
)
def test_arguments_are_checked(arguments, error, message, flow, tmp_path):
    with pytest.raises(error, match=message):
        export(flow, **{"path": tmp_path / "m", "verify": False, **arguments})
    assert list(tmp_path.iterdir()) == []


def test_a_version_is_no_place_for_versions(exported):
    with pytest.raises(ValueError, match="is a version itself"):
        export(stock(), exported("stock").folder)


def test_load_says_what_is_missing(tmp_path, exported):
    with pytest.raises(FileNotFoundError, match=r"neither saved_model\.pb nor a folder of versions"):
        load(tmp_path)
    served = exported("stock").served
    with pytest.raises(ValueError, match="has no signature 'encode'; it offers"):
        served.encode(np.zeros([1, 2]))
    with pytest.raises(ValueError, match=r"`x` must have shape \[None, 2\]; got \[4, 3\]"):
        served.log_prob(np.zeros([4, 3]))
    with pytest.raises(ValueError, match=r"takes \['x'\]; got \['condition', 'x'\]"):
        served.log_prob(np.zeros([4, 2]), condition=np.zeros([4, 1]))


def test_one_condition_serves_all_rows(exported):
    served = exported("conditional").served
    one = np.array([0.5, -1.0, 2.0], np.float32)
    repeated = served.sample(4, seed=2, condition=np.tile(one, [4, 1]))
    # The same rows in a batch of another size: a few roundings.
    np.testing.assert_allclose(served.sample(4, seed=2, condition=one), repeated, **IN_ANOTHER_BATCH)
