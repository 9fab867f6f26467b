"""Broken files, full disks and absurd numbers: one line on stderr, exit code 2, nothing left behind."""

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import tfp_nvp as nvp
from tfp_nvp.cli import outputs


def npy(header):
    """The bytes of an .npy file of a header, and no data."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


@pytest.fixture(scope="session")
def model_file(tmp_path_factory):
    """A model of two columns, in a file of its own."""
    flow = nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0)
    flow.initialize(np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32))
    file = tmp_path_factory.mktemp("model") / "m.keras"
    nvp.FlowModel(flow).save(file)
    return file


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\xfe\xff" * 100,
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }"),
        npy("{'descr': "),
        npy("(" * 5000),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000, 2), }"),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 2), }"),
        npy("{'descr': '<f8', 'fortran_order': 5, 'shape': (3, 2), }"),
        npy("{'descr': 'zz', 'fortran_order': False, 'shape': (3, 2), }"),
        npy("{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (3,), }"),
    ],
    ids=["empty", "junk", "no data", "cut", "nested", "large", "negative", "order", "dtype", "objects"],
)
@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "parquet"])
def test_broken_files(content, suffix, refused_early, tmp_path):
    (tmp_path / f"data.{suffix}").write_bytes(content)
    message = refused_early("fit", f"data.{suffix}", "--out", "run")
    assert message.startswith(f"data.{suffix}: ")
    assert "allow_pickle" not in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--key", "a"], "--key chooses an array of an .npz file"),
        (["--test-split", "nan"], "'nan' is not a number"),
        (["--validation-split", "nan"], "'nan' is not a number"),
        (["--support", "nan:1"], "must be LOW:HIGH"),
        (["--seed", "-1"], "--seed"),
        (["--out", ""], "`out` must name a file or folder; got ''"),
        (["--out", "gs://bucket/run"], "`out` must be on a file system of this machine; got 'gs://bucket/run'"),
        (["--out", "s3:/run"], "`out` must be on a file system of this machine"),
    ],
)
def test_options(arguments, message, refused_early, table):
    assert message in refused_early("fit", table, "--out", "run", *arguments)


def test_header_of_an_array(refused_early, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros([30, 2]))
    assert "are for text" in refused_early("fit", "x.npy", "--out", "run", "--header")


@pytest.mark.parametrize("arguments", [[], ["--debug"]])
def test_without_a_command_help_is_shown(arguments, run):
    result = run(*arguments)
    assert result.code == 0
    assert "Usage: tfp-nvp" in result.out
    assert "Fit a flow to a table" in result.out


def test_too_many_samples(refused, model_file):
    message = refused("sample", model_file, "-n", 99_999_999_999, "--out", "s.csv")
    assert message.startswith("99,999,999,999 rows of 2 column(s) take about 4,800.0 GB of memory; ")
    assert "--seed" in message


def test_too_many_samples_for_the_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(outputs, "_free_memory", lambda: 2**62)
    with pytest.raises(ValueError, match="of disk; "):
        outputs.check_space(10**14, 2, tmp_path / "x.csv")


@pytest.mark.parametrize("out", ["", "gs://bucket/model", "hdfs:/model"])
def test_exports_stay_on_this_machine(out, refused_early, model_file):
    assert "`out` must " in refused_early("export", model_file, out)


@pytest.mark.parametrize(
    "notes", ["[" * 100_000, "5", "[]", '{"columns": 5}', '{"columns": [1, 2]}', "{", ""], ids=lambda text: text[:20]
)
def test_broken_metrics(notes, refused, model_file, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(model_file, tmp_path / "run" / "flow.keras")
    (tmp_path / "run" / "metrics.json").write_text(notes)
    np.save(tmp_path / "x.npy", np.zeros([3, 2]))
    assert refused("evaluate", "run", "x.npy").startswith("run/metrics.json: not a JSON object")


@pytest.mark.parametrize("config", [{"class": 5}, {"class": None}, {"arguments": 7}, {"kind": 5}, {"number": []}])
def test_broken_configs(config, refused, model_file, tmp_path):
    with zipfile.ZipFile(model_file) as source, zipfile.ZipFile(tmp_path / "m.keras", "w") as copy:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                changed = json.loads(data)
                changed["config"]["distribution"].update(config)
                data = json.dumps(changed).encode()
            copy.writestr(name, data)
    np.save(tmp_path / "x.npy", np.zeros([3, 2]))
    assert refused("evaluate", "m.keras", "x.npy").startswith("m.keras: not a model that can be loaded: ")


def test_a_model_of_another_class_is_not_made(refused, tmp_path):
    """Its config could name any function of Keras."""
    loader = {"class_name": "function", "module": "keras.datasets.mnist", "config": "load_data"}
    dense = {"class_name": "Dense", "module": "keras.layers", "config": {"units": 3, "activation": loader}}
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("config.json", json.dumps(dense))
    np.save(tmp_path / "x.npy", np.zeros([3, 2]))
    assert "its model is a None, not a 'tfp_nvp>FlowModel'" in refused("evaluate", "m.keras", "x.npy")


@pytest.fixture
def full_disk():
    """No file may grow beyond 4 KiB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "arguments",
    [["sample", "M", "-n", 1000, "--out", "s.csv"], ["sample", "M", "-n", 1000, "--out", "s.npy"],
     ["sample", "M", "-n", 1000, "--out", "s.parquet"], ["export", "M", "exported"],
     ["plot", "M", "x.npy", "--out", "pictures"]],
    ids=lambda arguments: f"{arguments[0]} {arguments[-1]}",
)  # fmt: skip
def test_full_disk(arguments, refused, model_file, full_disk, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(50, 2)))
    (tmp_path / "exported").mkdir()
    full_disk()
    assert refused(*[model_file if word == "M" else word for word in arguments])


def test_who_reads_the_output_leaves(table):
    """As in `tfp-nvp --help | head -1`: no traceback."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "tfp_nvp", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
