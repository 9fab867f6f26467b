"""The check from a new process passes what is right, and names what is wrong."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.serving import export
from tfp_nvp.serving._exporting import verify
from tfp_nvp.serving._exporting.cases import cases
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import signatures

tfb, tfd = tfp.bijectors, tfp.distributions


@pytest.fixture
def stored(exported):
    """A good folder, and its cases."""
    case = exported("conditional")
    parts = served(case.model)
    return case.folder, cases(parts, signatures(parts), condition=case.raw_condition(5))


def test_a_good_folder_passes_in_a_new_process(flow, tmp_path):
    rows = np.random.default_rng(0).normal(size=[9, 3])
    assert export(flow, tmp_path / "m", warmup=rows) == tmp_path / "m" / "1"


def test_a_truncated_file_of_weights_fails_in_a_new_process(stored, tmp_path):
    folder, tried = stored
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = next((copy / "variables").glob("variables.data-*"))
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(RuntimeError, match=r"failed its check in a new process: .*Error"):
        verify.verify(copy, tried)


def test_other_weights_fail(stored):
    folder, tried = stored
    verify.check_folder(str(folder), tried)
    tried["encode"].outputs["log_det"][3] += 0.01
    with pytest.raises(ValueError, match=r"encode/log_det\[3\] is .*; Python has"):
        verify.check_folder(str(folder), tried)


def test_rows_that_depend_on_each_other_fail(tmp_path):
    centred = tfb.Inline(tf.identity, lambda x: x - tf.reduce_mean(x), tf.zeros_like, forward_min_event_ndims=0)
    model = tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), tfb.Chain([centred]))
    folder = export(model, tmp_path / "m", verify=False)
    parts = served(model)
    with pytest.raises(ValueError, match=r"log_prob/log_prob\[0\] is .*; Python has"):
        verify.check_folder(str(folder), cases(parts, signatures(parts)))


def test_other_shapes_and_missing_signatures_fail(stored):
    folder, tried = stored
    narrow = verify.Case(tried["encode"].inputs, {"z": tried["encode"].outputs["z"][:, :1]})
    with pytest.raises(ValueError, match=r"encode/z is float32 of shape \(5, 2\); expected .* \(5, 1\)"):
        verify.check_folder(str(folder), {"encode": narrow})
    with pytest.raises(ValueError, match=r"signatures \['score'\] are missing"):
        verify.check_folder(str(folder), {"score": narrow})


def test_nan_and_infinity_match_themselves_only():
    values = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    verify.compare("x", values, values)
    for wrong in (np.nan, -np.inf, 2.0):
        with pytest.raises(ValueError, match="Python has inf"):
            verify.compare("x", np.array([np.nan, wrong, -np.inf, 1.0], np.float32), values)


def test_the_checker_needs_tensorflow_and_numpy_only():
    code = "import sys, runpy; runpy.run_path(sys.argv[1], run_name='check'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, verify.__file__], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"tfp_nvp", "tensorflow_probability", "keras", "tensorflow"}
