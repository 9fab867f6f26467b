"""The page on scikit-learn: its Python runs, and finds what it says."""

import numpy as np
import pytest

from tests.test_docs import run_page


@pytest.mark.slow
@pytest.mark.exhaustive
def test_python_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_page("scikit_learn")
    assert (tmp_path / "moons.keras").exists()
    assert names["search"].best_params_ == {"learning_rate": 0.01}
    assert 0.6 < names["covered"] < 1.0
    assert names["r2"] > 0.2
    assert np.isfinite(names["nats"])
    assert names["detector"].predict([[0.0, 0.5], [9.0, 9.0]]).tolist() == [1, -1]
