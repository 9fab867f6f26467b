"""Thresholds keep the false-positive rate that they promise, and say how sure they are."""

import functools
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

import tfp_nvp as nvp
from tests.conformance.cases import in_unit_interval
from tests.training.small import small
from tfp_nvp.training import AnomalyDetector, FlowModel
from tfp_nvp.training._anomalies.threshold import default_rate, least_rate, order_statistic, threshold_of

tfd = tfp.distributions


def rows_of(flow, n, seed):
    return flow.sample(n, seed=seed).numpy()


@pytest.fixture(scope="module")
def model():
    """A flow that is not the identity; as good as fitted to its own samples."""
    flow = nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0)
    rng = np.random.default_rng(0)
    flow.initialize(1.0 + 2.0 * rng.normal(size=[32, 2]))
    for variable in flow.trainable_variables:
        variable.assign_add(tf.constant(0.2 * rng.normal(size=variable.shape), variable.dtype))
    return FlowModel(flow)


class TestThreshold:
    @pytest.mark.parametrize(
        ("n", "rate", "k"), [(99, 0.01, 99), (100, 0.05, 96), (19, 0.05, 19), (3, 0.5, 2), (9, 0.1, 9)]
    )
    def test_it_is_an_order_statistic(self, n, rate, k, rng):
        """⌈(n + 1)(1 − rate)⌉, where rounding errors of 1 − rate do not count."""
        scores = rng.permutation(n) + 1.0
        found = threshold_of(scores, rate)
        assert order_statistic(n, rate) == k
        assert (found.value, found.false_positive_rate, found.rows) == (k, rate, n)
        assert np.mean(scores > found.value) <= rate
        assert found.interval[0] <= found.value <= found.interval[1]
        assert found.rate_interval == pytest.approx(stats.beta(n + 1 - k, k).ppf([0.025, 0.975]))

    def test_the_rate_is_kept_and_its_interval_covers_it(self, rng):
        """The rate of a threshold t on normal scores is exactly P(Z > t)."""
        n, rate, draws = 199, 0.05, 400
        found = [threshold_of(rng.normal(size=n), rate) for _ in range(draws)]
        rates = stats.norm.sf([each.value for each in found])
        low, high = found[0].rate_interval  # the same for all: of n and the rate alone
        assert all(each.rate_interval == (low, high) for each in found)
        assert abs(rates.mean() - rate) < 4 * rates.std() / math.sqrt(draws)  # (n + 1)(1 − rate) is whole
        assert 0.92 < np.mean((low < rates) & (rates < high)) < 0.98

    def test_the_interval_covers_the_quantile(self):
        n, rate = 150, 0.1
        rng, quantile = np.random.default_rng(0), stats.expon.ppf(1.0 - rate)
        intervals = np.array([threshold_of(rng.exponential(size=n), rate).interval for _ in range(500)])
        covered = (intervals[:, 0] <= quantile) & (quantile <= intervals[:, 1])
        assert 0.92 <= covered.mean() <= 0.99
        assert (intervals[:, 0] > quantile).mean() <= 0.05  # neither end is what makes it
        assert (intervals[:, 1] < quantile).mean() <= 0.05

    def test_an_interval_may_have_no_end(self):
        found = threshold_of(np.arange(99.0), 0.01)
        assert found.interval[1] == math.inf
        assert found.interval[0] > 0.0
        assert threshold_of(np.arange(3.0), 0.9).interval[0] == -math.inf

    @pytest.mark.parametrize("rate", [0.01, 0.05, 0.03, 1.0 / 3.0, 0.001, 0.1, 0.07, 0.5, 0.9])
    def test_the_number_of_rows_it_asks_for_is_the_least(self, rate):
        with pytest.raises(ValueError, match=rf"= {rate:g} needs at least \d+ held-out rows; there are 0") as raised:
            threshold_of(np.zeros(0), rate)
        least = int(str(raised.value).split("at least ")[1].split()[0])
        threshold_of(np.zeros(least), rate)
        if least > 1:
            with pytest.raises(ValueError, match=f"needs at least {least} held-out rows; there are {least - 1}"):
                threshold_of(np.zeros(least - 1), rate)

    @pytest.mark.parametrize("n", [1, 2, 9, 13, 69, 98, 99, 1000])
    def test_the_least_rate_that_rows_permit(self, n):
        assert order_statistic(n, least_rate(n)) == n
        with pytest.raises(ValueError, match=r"held-out rows; there are \d+\. Give more rows, or a rate of") as raised:
            order_statistic(n, 0.999 * least_rate(n))
        assert order_statistic(n, float(str(raised.value).split("at least ")[-1].rstrip("."))) == n

    def test_the_default_rate(self):
        assert default_rate(0) == default_rate(99) == default_rate(5000) == 0.01
        with pytest.warns(UserWarning, match=r"69 held-out rows permit no .* below 1 / 70 = 0.014, which is taken"):
            assert default_rate(69) == 1.0 / 70.0

    @pytest.mark.parametrize(
        ("rate", "error", "message"),
        [
            (0.0, ValueError, r"`false_positive_rate` must be in \(0, 1\); got 0"),
            (1.0, ValueError, r"`false_positive_rate` must be in \(0, 1\); got 1"),
            (-0.1, ValueError, r"must be in \(0, 1\); got -0.1"),
            (math.nan, ValueError, r"must be in \(0, 1\); got nan"),
            ("0.1", TypeError, "must be a number"),
        ],
    )
    def test_what_is_no_rate(self, rate, error, message):
        with pytest.raises(error, match=message):
            threshold_of(np.arange(100.0), rate)

    def test_scores_that_set_no_threshold(self):
        scores = np.arange(100.0)
        with pytest.raises(ValueError, match=r"2 held-out row\(s\) have no score \(NaN\)"):
            threshold_of(np.append(scores, [math.nan, math.nan]), 0.05)
        with pytest.raises(ValueError, match="10 of 110 held-out rows have density 0"):
            threshold_of(np.append(scores, [math.inf] * 10), 0.05)
        assert threshold_of(np.append(scores, [math.inf] * 3), 0.05).value == 98.0  # fewer than the rate allows for

    def test_ties_exceed_it_no_more_often(self, rng):
        scores = np.round(rng.normal(size=500), 1)
        assert np.mean(scores > threshold_of(scores, 0.1).value) <= 0.1


class TestDetector:
    def test_scores_are_minus_the_log_density(self, model, rng):
        x = rng.normal(size=(10, 2)).astype(np.float32)
        detector = AnomalyDetector(model)
        np.testing.assert_allclose(detector.score(x), -model.log_prob(x).numpy(), rtol=1e-5)
        np.testing.assert_allclose(detector.scores(tf.constant(x)), detector.score(x), rtol=1e-5)
        np.testing.assert_array_equal(detector.score(x.astype(np.float64)), detector.score(x))
        np.testing.assert_array_equal(detector.score(x.tolist()), detector.score(x))
        assert detector.score(x[:0]).shape == (0,)

    def test_the_rate_on_fresh_rows(self, model):
        detector = AnomalyDetector(model).calibrate(rows_of(model, 999, seed=1), 0.05)
        low, high = detector.threshold_.rate_interval
        n, found = 20_000, detector.predict(rows_of(model, 20_000, seed=2)).mean()
        error = 3.0 * math.sqrt(0.05 * 0.95 / n)
        assert low - error < found < high + error

    def test_the_row_at_the_threshold_is_none(self, model):
        x = rows_of(model, 99, seed=1)
        detector = AnomalyDetector(model).calibrate(x, 0.1)
        assert detector.threshold == np.float64(np.sort(detector.score(x))[89])  # exactly a float32
        assert detector.predict(x).sum() == 9
        assert not detector.predict(x)[np.argsort(detector.score(x))[89]]

    def test_a_row_with_a_nan_is_one(self, model):
        detector = AnomalyDetector(model).calibrate(rows_of(model, 99, seed=1), 0.1)
        assert detector.predict([[np.nan, 0.0], [1e30, 1e30], [np.inf, 0.0]]).tolist() == [True, True, True]
        assert detector.predict(rows_of(model, 20, seed=3)).sum() < 10

    def test_calibration_needs_finite_rows(self, model):
        x = rows_of(model, 99, seed=1)
        x[3, 0] = np.nan
        detector = AnomalyDetector(model)
        with pytest.raises(ValueError, match=r"1 held-out row\(s\) have no score"):
            detector.calibrate(x, 0.1)
        assert detector.threshold_ is None

    def test_a_failed_calibration_keeps_the_last(self, model):
        detector = AnomalyDetector(model).calibrate(rows_of(model, 99, seed=1), 0.1)
        before = detector.threshold_
        with pytest.raises(ValueError, match="needs at least 999 held-out rows; there are 99"):
            detector.calibrate(rows_of(model, 99, seed=1), 0.001)
        assert detector.threshold_ is before

    def test_it_describes_itself_in_json(self, model):
        detector = AnomalyDetector(model).calibrate(rows_of(model, 99, seed=1), 0.01)
        found = json.loads(json.dumps(detector.describe(), allow_nan=False))
        assert found["threshold"] == detector.threshold
        assert found["threshold_interval"][1] is None  # infinite
        assert found["false_positive_rate"] == 0.01
        assert found["false_positive_rate_interval"] == pytest.approx(stats.beta(1, 99).ppf([0.025, 0.975]))
        assert (found["calibration_rows"], found["confidence"]) == (99, 0.95)

    @pytest.mark.parametrize("method", ["score", "predict", "calibrate"])
    def test_without_a_flow(self, method):
        with pytest.raises(ValueError, match="The detector has no flow yet: call `fit`"):
            getattr(AnomalyDetector(), method)(np.zeros([100, 2]))

    def test_without_a_threshold(self, model):
        detector = AnomalyDetector(model)
        for ask in (lambda: detector.predict(np.zeros([1, 2])), detector.describe, lambda: detector.threshold):
            with pytest.raises(ValueError, match="no threshold yet: call `fit`, or `calibrate`"):
                ask()

    def test_models_that_have_no_one_density(self):
        conditional = FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], condition_shape=[1], seed=0))
        integers = FlowModel(
            nvp.Dequantized(in_unit_interval(nvp.RealNVP([2], num_layers=1, hidden_units=[4])), levels=4)
        )
        for model in (conditional, integers):
            with pytest.raises(ValueError, match="`model` must be of real numbers and without a condition"):
                AnomalyDetector(model)
        for model in (conditional.distribution, "model"):
            with pytest.raises(TypeError, match="`model` must be a FlowModel"):
                AnomalyDetector(model)

    def test_a_model_of_float64(self):
        flow = nvp.RealNVP([2], num_layers=1, hidden_units=[4], dtype="float64", seed=0)
        flow.initialize(np.random.default_rng(0).normal(size=(32, 2)))
        detector = AnomalyDetector(FlowModel(flow))
        x = rows_of(flow, 99, seed=1)
        assert detector.score(x).dtype == np.float64
        assert detector.calibrate(x, 0.1).threshold == np.sort(detector.score(x))[89]
        assert detector.predict(x).sum() == 9


@pytest.fixture(scope="module")
def rows():
    """A correlated cloud, twelve of whose 600 rows are a tight cluster outside it."""
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=[588, 4]) @ np.array([[1.0, 0.9, 0, 0], [0, 0.2, 0, 0], [0, 0, 5, 1], [0, 0, 0, 0.1]])
    return np.concatenate([cloud, [2.0, -3.0, 0.0, 1.0] + 0.01 * rng.normal(size=[12, 4])])


@pytest.fixture(scope="module")
def detector(rows):
    return AnomalyDetector(seed=0).fit(rows, false_positive_rate=0.05, steps=200, verbose=0)


class TestFit:
    @pytest.mark.exhaustive
    def test_anomalies_among_the_rows_get_no_density_of_their_own(self, detector, rows):
        assert detector.predict(rows[588:]).all()
        assert detector.predict(rows[:588]).mean() < 0.1
        assert detector.threshold_.rows == 120
        assert detector.predict(100.0 * np.eye(4)).all()

    def test_the_seed_decides_all(self, rows):
        first, again, other = (
            AnomalyDetector(seed=seed).fit(rows, flow=small, steps=20, verbose=0) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first.score(rows), again.score(rows))
        assert first.threshold_ == again.threshold_
        assert first.threshold != other.threshold
        assert AnomalyDetector().fit(rows, flow=small, steps=1, verbose=0).threshold_.rows == 120

    @pytest.mark.exhaustive
    def test_units_of_the_columns_do_not_matter(self, rows):
        scaled = 1e-3 + rows * [1e-6, 1e4, 1.0, 10.0]
        first, other = (AnomalyDetector(seed=1).fit(x, flow=small, steps=50, verbose=0) for x in (rows, scaled))
        shift = first.score(rows) - other.score(scaled)  # log of the units
        np.testing.assert_allclose(shift, shift.mean(), atol=0.02)

    def test_all_rows_to_the_flow(self, rows):
        detector = AnomalyDetector(seed=0).fit(rows, calibration_split=0.0, flow=small, steps=10, verbose=0)
        assert detector.threshold_ is None
        assert detector.calibrate(rows, 0.05).threshold_.rows == 600

    def test_a_second_fit_replaces_the_first(self, rows):
        detector = AnomalyDetector(seed=0).fit(rows, flow=small, steps=10, verbose=0)
        before = detector.model
        detector.fit(rows, calibration_split=0.0, flow=small, steps=10, verbose=0)
        assert detector.model is not before
        assert detector.threshold_ is None

    def test_one_column_and_constant_ones(self, rng):
        rows = np.stack([rng.normal(size=200), np.full(200, 3.0)], axis=-1)
        detector = AnomalyDetector(seed=0).fit(rows, false_positive_rate=0.1, flow=small, steps=20, verbose=0)
        assert np.isfinite(detector.score(rows)).all()
        one = AnomalyDetector(seed=0).fit(rows[:, :1], false_positive_rate=0.1, flow=small, steps=20, verbose=0)
        assert one.predict([[9.0], [0.0]]).tolist() == [True, False]

    def test_few_rows_get_the_rate_that_they_permit(self, rows):
        with pytest.warns(UserWarning, match=r"69 held-out rows permit no false-positive rate below 1 / 70"):
            detector = AnomalyDetector(seed=0).fit(rows[:342], flow=small, steps=10, verbose=0)
        assert detector.threshold_.false_positive_rate == 1.0 / 70.0
        assert detector.threshold_.rows == 69
        with pytest.raises(ValueError, match=r"there are 69\. Give more rows, or a rate of at least 0\.0143"):
            AnomalyDetector(seed=0).fit(rows[:342], false_positive_rate=0.01, flow=small, steps=10, verbose=0)
        with pytest.warns(UserWarning, match="19 held-out rows permit"):
            assert detector.calibrate(rows[:19]).threshold_.false_positive_rate == 0.05

    def test_a_flow_of_float64_is_fitted(self, rows):
        recipe = functools.partial(nvp.RealNVP, num_layers=1, hidden_units=[4], dtype="float64")
        detector = AnomalyDetector(seed=0).fit(rows, false_positive_rate=0.1, flow=recipe, steps=10, verbose=0)
        assert detector.score(rows).dtype == np.float64

    def test_it_is_saved_as_a_model(self, detector, rows, tmp_path):
        detector.model.save(tmp_path / "detector.keras")
        again = AnomalyDetector(keras.models.load_model(tmp_path / "detector.keras"))
        np.testing.assert_allclose(again.score(rows), detector.score(rows), rtol=1e-5)

    def test_silence_and_progress(self, rows, capsys):
        AnomalyDetector(seed=0).fit(rows, flow=small, steps=5, verbose=0)
        assert capsys.readouterr().out == ""
        AnomalyDetector(seed=0).fit(rows, flow=small, steps=5, verbose=1)
        assert "nats" in (shown := capsys.readouterr()).out + shown.err

    @pytest.mark.parametrize(
        ("n", "options", "message"),
        [
            (600, {"false_positive_rate": 0.001}, "needs at least 999 held-out rows; there are 120"),
            (19, {"false_positive_rate": 0.5}, "at least 20 rows, 10 of them to fit; it has 19, of which .* leaves 15"),
            (24, {"calibration_split": 0.6}, "at least 20 rows, 10 of them to fit; it has 24, of which .* leaves 9"),
            (600, {"noise": 0.0}, "`noise` must be positive"),
            (600, {"steps": 0}, "`steps` must be"),
            (600, {"calibration_split": 1.0}, "`calibration_split`"),
        ],
    )
    def test_what_it_cannot_fit(self, rows, n, options, message):
        detector = AnomalyDetector(seed=0)
        with pytest.raises(ValueError, match=message):
            detector.fit(rows[:n], **options)
        assert detector.model is None

    def test_rows_that_are_not_finite(self, rows):
        broken = rows.copy()
        broken[3, 1] = np.nan
        with pytest.raises(ValueError, match="finite"):
            AnomalyDetector().fit(broken, verbose=0)
