"""Old versions go, but for those of labels; what is left is whole."""

import os

import pytest

from tests.serving.conftest import affine
from tests.serving.test_deployment import make_model
from tfp_nvp.serving import export, remove_old_versions, set_label


def versions_in(folder):
    return sorted(int(child.name) for child in folder.iterdir() if child.name.isdecimal())


@pytest.mark.parametrize(
    ("keep", "labelled", "left"),
    [
        (1, [], [12]),
        (2, [], [9, 12]),
        (3, [], [7, 9, 12]),
        (9, [], [1, 2, 7, 9, 12]),
        (1, [2], [2, 12]),
        (2, [9, 1], [1, 9, 12]),
    ],
)
def test_the_newest_and_those_of_labels_stay(keep, labelled, left, tmp_path):
    folder = make_model(tmp_path / "m", 1, 2, 7, 9, 12)
    (folder / "notes").mkdir()
    for version in labelled:
        set_label(folder, f"label{version}", version)
    before = versions_in(folder)
    assert remove_old_versions(folder, keep) == sorted(set(before) - set(left))
    assert versions_in(folder) == left
    assert {child.name for child in folder.iterdir() if not child.name.isdecimal()} <= {
        "notes",
        "labels.json",
        ".labels.json.lock",
    }
    assert remove_old_versions(folder, keep) == []


@pytest.mark.parametrize(("keep", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_at_least_one_stays(keep, error, tmp_path):
    folder = make_model(tmp_path / "m", 1, 2)
    with pytest.raises(error, match="`keep` must be"):
        remove_old_versions(folder, keep)
    with pytest.raises(error, match="`keep` must be"):
        export(affine(), folder, keep=keep, verify=False)
    assert versions_in(folder) == [1, 2]


def test_labels_that_cannot_be_read_keep_everything(tmp_path):
    folder = make_model(tmp_path / "m", 1, 2)
    (folder / "labels.json").write_text("{")
    with pytest.raises(ValueError, match=r"labels\.json must be a JSON object"):
        remove_old_versions(folder, 1)
    assert versions_in(folder) == [1, 2]


def test_a_version_leaves_in_one_step(tmp_path, monkeypatch):
    """A server that starts meanwhile finds it whole, or not at all."""
    folder, seen = make_model(tmp_path / "m", 1, 2, 3), []
    rename = os.rename

    def watched(source, target):
        rename(source, target)
        seen.append(versions_in(folder))
        assert (target / "saved_model.pb").exists()

    monkeypatch.setattr(os, "rename", watched)
    remove_old_versions(folder, 1)
    assert seen == [[2, 3], [3]]


def test_export_keeps_as_many_as_told(tmp_path):
    folder = make_model(tmp_path / "m", 1, 2, 3)
    set_label(folder, "stable", 1)
    assert export(affine(), folder, keep=2, verify=False).name == "4"
    assert versions_in(folder) == [1, 3, 4]
    assert export(affine(), folder, version=2, keep=1, verify=False).name == "2"
    assert versions_in(folder) == [1, 2, 4]
