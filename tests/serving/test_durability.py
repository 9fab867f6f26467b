"""Killed, side by side, or out of space: a model's folder holds whole versions only."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.serving.durability_child import small_flow
from tests.serving.rounding import within
from tfp_nvp.serving import export, labels, load
from tfp_nvp.serving._folders.versions import temporary_sibling, versions

tfd = tfp.distributions

# log p of a standard normal's mode in three dimensions, which each version answers at its own mean.
MODE = -1.5 * np.log(2.0 * np.pi)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where `durability_child` has been at work."""
    path = tmp_path_factory.mktemp("durability")
    # A user's own name space, in which a small file system may be mounted.
    unshare = [shutil.which("unshare") or "false", "-Urm"]
    alone = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    command = [sys.executable, "-W", "ignore", "-m", "tests.serving.durability_child", str(path)]
    subprocess.run([*(unshare if alone else []), *command], check=True, timeout=300, cwd=Path(__file__).parents[2])
    return path


@pytest.fixture(scope="module")
def found(folder):
    """What it has seen."""
    return json.loads((folder / "found.json").read_text())


@pytest.mark.slow
def test_killed_at_any_time(folder, found):
    path = folder / "killed"
    assert found["killed"]["ends"] == [{"signal": -9}] * 5
    there = versions(path)
    assert len(there) >= 6
    assert found["killed"]["next"] == {"returned": there[-1]}  # an export after it all
    for version in there:
        assert load(path / str(version)).log_prob([[version] * 3]) == pytest.approx(MODE)
    assert labels(path)["after"] == there[-1]
    assert set(labels(path).values()) <= set(there)
    # The export after it all has removed what those before have left.
    assert {child.name for child in path.iterdir()} == {str(version) for version in there} | {"labels.json"}


@pytest.mark.slow
def test_flows_killed_while_they_are_written_and_verified(folder, found):
    path = folder / "verified"
    assert found["verified"]["ends"] == [{"signal": -9}] * 3
    there = versions(path)
    assert found["verified"]["next"] == {"returned": there[-1]}
    x = np.random.default_rng(0).normal(size=[4, 2]).astype(np.float32)
    expected = small_flow().log_prob(x)
    for version in there:  # none that was not verified
        # Another process sums in another order: hundreds of roundings of float32, of which a wrong file is far beyond.
        np.testing.assert_allclose(load(path / str(version)).log_prob(x), expected, **within())
    assert labels(path)["after"] == there[-1]
    assert set(labels(path).values()) <= set(there)
    # Some were killed in the middle, and the export after it all has removed what they left.
    assert [name for name in found["verified"]["left"] if name.startswith(".export-")]
    assert {child.name for child in path.iterdir()} == {str(version) for version in there} | {"labels.json"}


@pytest.mark.slow
def test_processes_at_once_get_different_versions(folder, found):
    pairs = [pair for answer in found["together"]["answers"] for pair in answer["returned"]]
    assert sorted(version for version, _ in pairs) == list(range(1, 13))
    for version, loc in pairs:
        assert load(folder / "together" / str(version)).log_prob([[loc] * 3]) == pytest.approx(MODE)
    assert sorted(child.name for child in (folder / "together").iterdir()) == sorted(map(str, range(1, 13)))


@pytest.mark.slow
def test_labels_of_processes_at_once_are_all_there(folder, found):
    assert found["labelled"]["answers"] == [{"returned": [None] * 25}] * 4
    assert labels(folder / "labelled") == {f"label-{i}-{j}": 1 for i in range(4) for j in range(25)}
    assert sorted(child.name for child in (folder / "labelled").iterdir()) == ["1", "labels.json"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "message"), [("limited", "File too large"), ("full", "No space left on device")])
def test_without_space_there_is_the_old_version_or_a_whole_new_one(kind, message, found):
    if found[kind] is None:
        pytest.skip("may not mount a file system here")
    outcomes, last = [], 1
    for attempt, seen in found[kind].values():
        outcomes.append("raised" in attempt)
        if "raised" in attempt:
            assert message in attempt["message"]
            assert set(attempt["raised"]) & {"OSError", "OpError"}
        names, answers = seen["returned"]["names"], seen["returned"]["answers"]
        assert [int(name) for name in names if name.isdecimal()] in (list(range(1, last + 1)), list(range(1, last + 2)))
        last = max(map(int, answers))
        assert all(answer == pytest.approx([MODE]) for answer in answers.values())
        assert not [name for name in names if name.startswith(".")]  # nothing is left behind
    assert outcomes[0]
    assert not outcomes[-1]


def test_what_killed_exports_left_is_removed_and_what_live_ones_write_is_not(tmp_path):
    for name in ("dead", "empty"):
        (tmp_path / f".export-{name}.lock").touch()  # nobody holds it
    (tmp_path / ".export-dead" / "variables").mkdir(parents=True)
    (tmp_path / ".export-dead" / "variables" / "part").touch()
    (tmp_path / ".export-other").mkdir()  # never had a lock
    with temporary_sibling(tmp_path) as live:
        (live / "part").touch()
        lock = live.with_suffix(".lock")
        assert {child.name for child in tmp_path.iterdir()} == {".export-other", live.name, lock.name}
        with temporary_sibling(tmp_path) as next_one:
            assert (live / "part").exists()
            assert next_one != live
    assert [child.name for child in tmp_path.iterdir()] == [".export-other"]


def test_a_version_is_on_the_disk_before_its_name_and_its_name_before_its_label(tmp_path, monkeypatch):
    events = []  # inodes, which moves do not change, of what is synced; where things are moved

    def recorded(function, event):
        def call(*arguments):
            events.append(event(*arguments))
            return function(*arguments)

        return call

    monkeypatch.setattr(os, "fsync", recorded(os.fsync, lambda descriptor: os.fstat(descriptor).st_ino))
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, recorded(getattr(os, name), lambda _, to: Path(to)))
    path = tmp_path / "models" / "m"
    version = export(tfd.Normal(tf.Variable(0.0), 1.0), path, labels=["stable"], verify=False)
    named, labelled = events.index(version), events.index(path / "labels.json")
    inodes = {found: found.stat().st_ino for found in (tmp_path, *tmp_path.rglob("*"))}
    new_folders, contents = {inodes[tmp_path], inodes[path.parent]}, {inodes[each] for each in version.rglob("*")}
    assert new_folders | contents | {inodes[version]} <= set(events[:named])
    assert events[named + 1 : labelled] == [inodes[path], inodes[path / "labels.json"]]
    assert events[labelled + 1 :] == [inodes[path]]


def failing(monkeypatch, owner, name, where):
    """Makes `owner.name` fail as a full disk does, where its arguments mention `where`."""
    real = getattr(owner, name)

    def call(*arguments, **keywords):
        if where in " ".join(map(str, arguments)):
            raise OSError(errno.ENOSPC, "No space left on device", where)
        return real(*arguments, **keywords)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize(
    ("owner", "name", "where"),
    [
        (Path, "mkdir", ".export-"),
        (tf.saved_model, "save", ".export-"),
        (tf.io, "TFRecordWriter", "warmup"),
        (Path, "write_text", "model.json"),
        (Path, "write_text", "README.md"),
        (os, "rename", ".export-"),
    ],
)
def test_each_step_may_fail(owner, name, where, tmp_path, monkeypatch):
    model = tfd.Independent(tfd.Normal(tf.Variable([1.0] * 3), 1.0), 1)
    export(model, tmp_path, labels=["stable"], verify=False)
    with monkeypatch.context() as patch:
        failing(patch, owner, name, where)
        with pytest.raises(OSError, match="No space left on device"):
            export(model, tmp_path, labels=["stable"], verify=False)
    assert sorted(child.name for child in tmp_path.iterdir()) == ["1", "labels.json"]
    assert labels(tmp_path) == {"stable": 1}
    assert load(tmp_path).log_prob([[1.0] * 3]) == pytest.approx(MODE)
    assert export(model, tmp_path, verify=False).name == "2"


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_label_that_can_not_be_written_stays_as_it_was(step, tmp_path, monkeypatch):
    model = tfd.Independent(tfd.Normal(tf.Variable([1.0] * 3), 1.0), 1)
    export(model, tmp_path, labels=["stable"], verify=False)
    with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
        owner, name = (Path, "write_text") if step == "write" else (os, "replace")
        failing(patch, owner, name, ".labels.json-")
        stack.enter_context(pytest.raises(OSError, match="No space left on device"))
        export(model, tmp_path, labels=["stable"], verify=False)
    assert sorted(child.name for child in tmp_path.iterdir()) == ["1", "2", "labels.json"]  # the version is whole
    assert labels(tmp_path) == {"stable": 1}
    assert load(tmp_path / "2").log_prob([[1.0] * 3]) == pytest.approx(MODE)
