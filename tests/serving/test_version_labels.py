"""Labels stand for versions that exist, and a damaged file of them is named."""

import importlib
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.serving import export, labels, remove_label, set_label
from tfp_nvp.serving._folders.versions import versions, write_whole

tfd = tfp.distributions
module = importlib.import_module("tfp_nvp.serving._folders.version_labels")


@pytest.fixture
def model(tmp_path):
    """A model's folder with the versions 1 and 3; "canary" is 3."""
    export(stock(), tmp_path / "m", verify=False)
    export(stock(), tmp_path / "m", version=3, labels=["canary"], verify=False)
    return tmp_path / "m"


def stock():
    return tfd.Normal(tf.Variable(0.0), 1.0)


def test_an_export_can_be_labelled(model):
    assert labels(model) == {"canary": 3}
    assert export(stock(), model, labels=("canary", "v1.2_rc-1"), verify=False).name == "4"
    assert labels(model) == {"canary": 4, "v1.2_rc-1": 4}
    export(stock(), model, verify=False)
    assert labels(model) == {"canary": 4, "v1.2_rc-1": 4}


def test_a_label_moves_and_others_stay(model):
    set_label(model, "stable", 1)
    set_label(str(model), "canary", 1)
    assert labels(str(model)) == {"canary": 1, "stable": 1}
    assert json.loads((model / "labels.json").read_text()) == {"canary": 1, "stable": 1}
    assert sorted(child.name for child in model.iterdir()) == ["1", "3", "labels.json"]  # nothing temporary is left


def test_labels_set_at_once_are_all_there(model):
    """`durability_child` has processes do the same."""
    names = [f"label-{i}" for i in range(60)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda label: set_label(model, label, 1), names))
    assert labels(model) == dict.fromkeys(names, 1) | {"canary": 3}
    assert sorted(child.name for child in model.iterdir()) == ["1", "3", "labels.json"]


def test_an_export_sets_its_labels_in_one_write(model, monkeypatch):
    written = []
    monkeypatch.setattr(
        module, "write_whole", lambda *arguments: (written.append(arguments[1]), write_whole(*arguments))
    )
    export(stock(), model, labels=["canary", "stable", "new"], verify=False)
    assert [json.loads(text) for text in written] == [{"canary": 4, "stable": 4, "new": 4}]


@pytest.mark.parametrize("taken", [False, True])
def test_a_version_that_is_not_published_has_no_labels(taken, model, monkeypatch):
    """Of a disk that fails when the folder is renamed, and of another process that takes the number meanwhile."""

    def fail(*arguments):
        if not taken:
            raise OSError("disk")
        (model / "4").mkdir()
        (model / "4" / "theirs").touch()
        rename(*arguments)

    rename = os.rename
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="Version 4 .* exists" if taken else "disk"):
        export(stock(), model, version=4, labels=["canary", "new"], verify=False)
    assert labels(model) == {"canary": 3}


def test_labels_of_a_generator_are_set(model):
    export(stock(), model, labels=(name for name in ["stable", "new"]), verify=False)
    assert labels(model) == {"canary": 3, "stable": 4, "new": 4}


def test_a_label_can_be_removed(model):
    set_label(model, "stable", 1)
    shutil.rmtree(model / "3")
    remove_label(model, "canary")  # whose version is gone
    assert labels(model) == {"stable": 1}
    with pytest.raises(ValueError, match=r"`label` must be one of .*, \['stable'\]; got 'canary'"):
        remove_label(str(model), "canary")
    remove_label(str(model), "stable")
    assert labels(model) == {}
    assert sorted(child.name for child in model.iterdir()) == ["1", "labels.json"]


def test_no_label_to_remove(tmp_path):
    with pytest.raises(ValueError, match=r"`label` must be one of .*, \[\]; got 'stable'"):
        remove_label(tmp_path / "nowhere", "stable")
    assert list(tmp_path.iterdir()) == []


def test_no_labels(tmp_path):
    assert labels(tmp_path) == {}
    assert labels(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("label", "version", "error", "message"),
    [
        ("stable", 2, ValueError, r"`version` must be one that .* holds, \[1, 3\]; got 2"),
        ("stable", 0, ValueError, "`version` must be at least 1"),
        ("stable", "1", TypeError, "`version` must be an integer"),
        ("", 1, ValueError, "`label` must be letters, digits, .*; got"),
        ("my label", 1, ValueError, "`label` must be letters, digits, .*; got"),
        ("a/b", 1, ValueError, "`label` must be letters, digits, .*; got"),
        ("stable\n", 1, ValueError, "`label` must be letters, digits, .*; got"),
        ("größe", 1, ValueError, "`label` must be letters, digits, .*; got"),
        (3, 1, ValueError, "`label` must be letters, digits, .*; got"),
    ],
)
def test_what_is_no_label_or_no_version(label, version, error, message, model):
    with pytest.raises(error, match=message):
        set_label(model, label, version)
    assert labels(model) == {"canary": 3}


@pytest.mark.parametrize("bad", ["canary", ["can ary"], [None], ["ok", ""], ["a", 2], None, 5, b"ab"])
def test_an_export_refuses_bad_labels_before_it_writes(bad, tmp_path):
    with pytest.raises(ValueError, match=r"`labels` must be names of letters.*, in a list; got"):
        export(stock(), tmp_path / "m", labels=bad, verify=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '{"canary": "3"}', '{"canary": 0}', '{"canary": true}', "\xff"])
def test_a_damaged_file_is_named_and_kept(text, model):
    (model / "labels.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"labels\.json must be a JSON object of labels and versions"):
        labels(model)
    with pytest.raises(ValueError, match=r"labels\.json must be"):
        set_label(model, "stable", 1)
    with pytest.raises(ValueError, match=r"labels\.json must be"):
        export(stock(), model, labels=["stable"], verify=False)
    assert versions(model) == [1, 3]  # found before the version was written
    assert (model / "labels.json").read_bytes() == text.encode("latin-1")
