"""An `AnomalyDetector` served: the scores and flags of Python, also at the threshold itself."""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import affine, spline
from tests.serving.rounding import IN_ANOTHER_BATCH, within
from tests.serving.test_warmup import records_of
from tfp_nvp.serving import export, load, read_card
from tfp_nvp.training import AnomalyDetector, FlowModel


@pytest.fixture(scope="module", params=["float32", "float64"])
def detector(request):
    model = FlowModel(spline(request.param))
    return AnomalyDetector(model).calibrate(rows(model, 199, 1), 0.1)


@pytest.fixture(scope="module")
def folder(detector, tmp_path_factory):
    return export(detector, tmp_path_factory.mktemp("detector") / "m", verify=False)


def rows(model, n, seed):
    return model.sample(n, seed=seed).numpy()


def test_scores_and_flags_are_pythons(detector, folder):
    served, x = load(folder), np.concatenate([rows(detector.model, 300, 2), [[40.0, -40.0], [np.nan, 0.0]]])
    score, is_anomaly = served.score(x)
    # A graph and eager mode differ by the order of sums through a dozen layers: hundreds of roundings.
    np.testing.assert_allclose(score, detector.score(x), **within(num_layers=12))
    assert score.dtype == detector.score(x).dtype
    sure = ~(np.abs(score - detector.threshold) < 1e-3)
    np.testing.assert_array_equal(is_anomaly[sure], detector.predict(x)[sure])
    np.testing.assert_array_equal(is_anomaly, ~(score <= detector.threshold))
    assert is_anomaly[-2:].tolist() == [True, True]  # also a NaN
    assert 5 < is_anomaly.sum() < 80
    np.testing.assert_allclose(served.log_prob(x), -score, **IN_ANOTHER_BATCH)
    assert [each.shape for each in served.score(x[:0])] == [(0,), (0,)]


def test_the_boundary_is_not_rounded(detector, folder, tmp_path):
    """A threshold that is the score of a row as the export computes it: that row is none, the next one is."""
    x = rows(detector.model, 50, 3)
    scores, _ = load(folder).score(x)
    other = AnomalyDetector(detector.model)
    for value in (scores.max(), np.nextafter(scores.max(), -np.inf, dtype=scores.dtype)):
        other.threshold_ = detector.threshold_._replace(value=float(value))
        _, is_anomaly = load(export(other, tmp_path / "m", verify=False)).score(x)
        np.testing.assert_array_equal(is_anomaly, scores > value)
    assert is_anomaly.sum() == np.sum(scores == scores.max())


def test_the_card_tells_the_threshold(detector, folder):
    card = read_card(folder)
    assert card["detector"] == detector.describe()
    assert card["signatures"]["score"]["outputs"]["is_anomaly"] == {"dtype": "bool", "shape": [None]}
    readme = (folder / "assets.extra" / "README.md").read_text()
    assert f"| anomaly threshold | {detector.threshold:.6g}, for a false-positive rate of 0.1 on 199 held-out" in readme


def test_a_server_warms_it_up(folder):
    assert "score" in {signature for _, signature, _ in records_of(folder)}


def test_it_passes_the_check_in_a_new_process(tmp_path):
    model = FlowModel(affine())
    detector = AnomalyDetector(model).calibrate(rows(model, 99, 1), 0.05)
    folder = export(detector, tmp_path / "m")
    x = rows(model, 100, 2)
    np.testing.assert_allclose(load(folder).score(x)[0], detector.score(x), **within(num_layers=12))


def test_half_precision_keeps_the_threshold(detector, tmp_path):
    served = load(export(detector, tmp_path / "m", weights_dtype="float16", verify=False))
    score, is_anomaly = served.score(rows(detector.model, 300, 2))
    np.testing.assert_array_equal(is_anomaly, ~(score <= detector.threshold))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_card_tells_what_half_precision_does_to_scores_and_flags(dtype, tmp_path):
    model = FlowModel(spline())
    x = rows(model, 300, 2)
    detector = AnomalyDetector(model).calibrate(x, 0.5)  # its threshold is among the scores
    folder = export(detector, tmp_path / "m", warmup=x, weights_dtype=dtype, verify=False)
    score, is_anomaly = load(folder).score(x[:256])
    error, other = np.abs(score - detector.score(x[:256])), np.sum(is_anomaly != detector.predict(x[:256]))
    found = read_card(folder)["weights"]
    assert (found["dtype"], found["output"], found["rows"]) == (dtype, "score", 256)
    # The card rounds its figures to two digits.
    assert found["mean_error"] == pytest.approx(error.mean(), rel=0.02)
    assert found["max_error"] == pytest.approx(error.max(), rel=0.02)
    assert abs(found["flags_changed"] - other) <= 1  # a row at the threshold itself may fall on either side
    assert other > 0 or dtype == "float16"
    readme = (folder / "assets.extra" / "README.md").read_text()
    assert f"| weights | stored as {dtype}; score of 256 rows is off by {found['mean_error']:.2g} nats" in readme
    assert f"; is_anomaly changes for {found['flags_changed']} of them: the threshold" in readme


def test_a_detector_that_is_not_ready_is_refused(tmp_path):
    for detector in (AnomalyDetector(), AnomalyDetector(FlowModel(affine()))):
        with pytest.raises(ValueError, match="The detector has no threshold yet: call `fit`"):
            export(detector, tmp_path / "m", verify=False)
    assert list(tmp_path.iterdir()) == []


def test_scores_of_rows_do_not_depend_on_the_batch(folder):
    served = load(folder)
    x = np.random.default_rng(0).normal(size=(9, 2))
    together, _ = served.score(x)
    alone = np.concatenate([served.score(row[None])[0] for row in x])
    np.testing.assert_allclose(alone, together, **IN_ANOTHER_BATCH)
    assert served.event_dtype == tf.as_dtype(together.dtype)
