"""Files that version 0.1 wrote give the log-densities that it computed."""

import contextlib
from pathlib import Path

import keras
import numpy as np
import pytest

import tfp_nvp as nvp

FILES = sorted(Path(__file__).with_name("first_edition").glob("*.keras"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_of_the_first_edition_loads(file: Path, tmp_path):
    if file.stem == "maf_enc" and keras.__version__.startswith("3.12."):
        pytest.skip("its encoder is a Dense layer as Keras 3.15 writes it, with an argument that Keras 3.12 lacks")
    expected = np.load(file.with_suffix(".npz"))
    is_refused_now = file.stem == "deq"  # integers of a Glow that reaches beyond [0, 1]
    of_a_file = pytest.warns(UserWarning, match=r"reach nothing beyond \[0, 1\].*num_bins=16\)\. It is kept only as")
    with of_a_file if is_refused_now else contextlib.nullcontext():
        model = keras.saving.load_model(file)
        model.save(tmp_path / "again.keras")
        again = keras.saving.load_model(tmp_path / "again.keras")
    for loaded in (model, again):
        keywords = {"condition": expected["c"]} if "c" in expected else {}
        keywords |= {"seed": 3} if isinstance(loaded.distribution, nvp.Dequantized) else {}
        log_prob = loaded.log_prob(expected["x"], **keywords)
        np.testing.assert_allclose(log_prob, expected["lp"], rtol=1e-5, atol=1e-5)


def test_there_are_files():
    assert len(FILES) == 5
