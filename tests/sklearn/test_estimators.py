"""Estimators within scikit-learn, beside the models that they hold."""

import functools
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tfp_nvp as nvp
from tests.sklearn.tiny import tiny
from tfp_nvp.distributions import MixtureOfFlows
from tfp_nvp.sklearn import FlowConditional, FlowDensity, FlowOutlier

density = functools.partial(FlowDensity, flow=tiny, epochs=1, random_state=0)
regressor = functools.partial(FlowConditional, flow=tiny, epochs=1, random_state=0)
outlier = functools.partial(FlowOutlier, flow=tiny, steps=1, false_positive_rate=0.1, random_state=0)


#: The flow stays the identity: the model is a Gaussian, of y with a linear mean.
GAUSSIAN = {"learning_rate": 1e-9}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(120, 2)) @ [[2.0, 0.5], [0.0, 0.3]] + [1.0, -3.0]


@pytest.fixture(scope="module")
def y(X):
    return 2.0 * X[:, 0] + np.random.default_rng(1).normal(size=len(X))


@pytest.fixture(scope="module")
def fitted(X, y):
    """Each kind of estimator, by the function that makes it."""
    return {make: make().fit(X, y) for make in (density, regressor, outlier)}


@pytest.fixture(scope="module")
def of_two(X, y):
    """A regressor of two targets."""
    return regressor(num_samples=50).fit(X, np.stack([y, X[:, 1] ** 2], axis=1))


class TestDensity:
    def test_it_is_what_fit_returns(self, X):
        model = nvp.fit(X, flow=tiny, epochs=1, seed=3, verbose=0)
        found = density(random_state=3).fit(X)
        np.testing.assert_array_equal(found.score_samples(X), model.log_prob(X).numpy())
        assert found.score(X) == pytest.approx(float(np.mean(model.log_prob(X))), rel=1e-12)

    def test_its_arguments_are_those_of_fit(self, X, y, monkeypatch):
        calls = []
        monkeypatch.setattr("tfp_nvp.sklearn._table_estimator.fit", lambda *args, **named: calls.append((args, named)))
        options = {
            "flow": tiny,
            "support": (-20, None),
            "tails": "pareto",
            "stack": True,
            "members": 3,
            "validation_split": 0.4,
            "epochs": 3,
            "batch_size": 7,
            "learning_rate": 0.1,
            "plan": nvp.training.plan_for(100, 3),
            "time_limit": 300.0,
            "verbose": 2,
        }
        density(**options, periodic={0: (0, 1)}).fit(X)
        assert calls[0][1] == options | {"periodic": {0: (0, 1)}, "sample_weight": None, "seed": 0}
        regressor(**options).fit(X, y, sample_weight=y)
        weight = calls[1][1].pop("sample_weight")
        assert weight is y
        assert calls[1][1] == options | {"seed": 0}
        np.testing.assert_array_equal(calls[1][0][0], y[:, np.newaxis])
        np.testing.assert_array_equal(calls[1][0][1], X)
        assert set(FlowDensity().get_params()) == {*options, "periodic", "random_state"}

    def test_columns_go_around(self, rng):
        hours = rng.normal(0.0, 2.0, size=(60, 1)) % 24.0
        found = FlowDensity(periodic=[(0, 24)], epochs=1, random_state=0).fit(hours)
        np.testing.assert_allclose(found.score_samples([[1.0]]), found.score_samples([[25.0]]), rtol=1e-5)

    def test_weights_count(self, X, fitted):
        weight = (X[:, 0] > X[:, 0].mean()).astype(float)
        found = density().fit(X, sample_weight=weight)
        assert found.score(X[weight > 0]) > fitted[density].score(X[weight > 0]) + 0.1

    def test_samples(self, X, fitted):
        found = fitted[density]
        assert found.sample().shape == (1, 2)
        np.testing.assert_array_equal(found.sample(5, random_state=1), found.sample(5, random_state=1))
        assert not np.array_equal(found.sample(5), found.sample(5))
        np.testing.assert_allclose(found.sample(4000, random_state=1).mean(axis=0), X.mean(axis=0), atol=0.3)
        states = [np.random.RandomState(4) for _ in range(2)]
        np.testing.assert_array_equal(found.sample(3, states[0]), found.sample(3, states[1]))

    def test_random_states(self, X):
        np.random.seed(0)  # noqa: NPY002
        first, other = (density(random_state=None).fit(X).score(X) for _ in range(2))
        np.random.seed(0)  # noqa: NPY002
        assert density(random_state=None).fit(X).score(X) == first != other

    def test_names_of_columns(self, X):
        frame = pd.DataFrame(X, columns=["heat", "salt"])
        found = density(support={"salt": (None, 5.0)}).fit(frame)
        assert found.feature_names_in_.tolist() == ["heat", "salt"]
        assert found.model_.schema.columns == ("heat", "salt")
        assert found.sample(200).shape == (200, 2)
        assert found.sample(200)[:, 1].max() < 5.0
        assert found.model_.sample(2, as_frame=True).columns.tolist() == ["heat", "salt"]
        with pytest.raises(ValueError, match="Feature names must be in the same order"):
            found.score_samples(frame[["salt", "heat"]])
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            found.score_samples(X)

    def test_a_flow_that_is_given_stays_as_it_was(self, X):
        flow = tiny([2], seed=0)
        before = [weight.numpy().copy() for weight in flow.weights]
        estimator = FlowDensity(flow=flow, epochs=2, random_state=0)
        first = estimator.fit(X).score(X)
        for weight, value in zip(flow.weights, before, strict=True):
            np.testing.assert_array_equal(weight.numpy(), value)
        assert estimator.fit(X).score(X) == first
        assert clone(estimator).flow is not flow

    def test_it_ends_a_pipeline(self, X):
        pipeline = make_pipeline(StandardScaler(), PCA(), density()).set_output(transform="pandas")
        pipeline.fit(pd.DataFrame(X, columns=["heat", "salt"]))
        assert pipeline[-1].model_.schema.columns == ("pca0", "pca1")
        assert np.isfinite(pipeline.score_samples(pd.DataFrame(X, columns=["heat", "salt"]))).all()

    def test_a_grid_is_searched_by_the_likelihood(self, X):
        search = GridSearchCV(density(), {"learning_rate": [1e-9, 1e-2], "tails": ["asinh"]}, cv=2).fit(X)
        assert search.best_score_ == max(search.cv_results_["mean_test_score"])
        assert search.best_estimator_.score(X) == search.score(X)

    def test_a_gaussian_has_its_likelihood(self, rng):
        X = rng.normal(size=(3000, 1)) * 2.0 + 1.0
        found = density(**GAUSSIAN).fit(X).score_samples(X[:50])
        np.testing.assert_allclose(found, stats.norm(1.0, 2.0).logpdf(X[:50, 0]), atol=0.15)


class TestConditional:
    def test_it_is_what_fit_returns(self, X, y, fitted):
        model = nvp.fit(y[:, np.newaxis], X, flow=tiny, epochs=1, seed=0, verbose=0)
        expected = model.log_prob(y[:, np.newaxis], condition=X).numpy()
        np.testing.assert_array_equal(fitted[regressor].log_prob(X, y), expected)

    def test_means_and_quantiles_are_those_of_a_gaussian(self, X, rng):
        X = rng.normal(size=(4000, 2))
        y = X @ [1.0, -2.0] + 0.5 * rng.normal(size=len(X))
        found = regressor(**GAUSSIAN).fit(X, y)
        new = X[:20]
        exact = stats.norm(new @ [1.0, -2.0], 0.5)
        np.testing.assert_allclose(found.predict(new), exact.mean(), atol=0.06)
        np.testing.assert_allclose(found.predict(new, quantiles=0.05), exact.ppf(0.05), atol=0.06)
        low, high = found.predict_interval(new, 0.8).T
        np.testing.assert_allclose(low, exact.ppf(0.1), atol=0.06)
        np.testing.assert_allclose(high, exact.ppf(0.9), atol=0.06)
        assert found.score(X, y) > 0.9

    def test_quantiles_of_one_target_are_exact(self, X, fitted):
        """The distribution function of the model at its quantile, from the latents, is the level."""
        found = clone(fitted[regressor]).set_params(num_samples=200)
        found.__dict__ |= {name: value for name, value in vars(fitted[regressor]).items() if name != "num_samples"}
        levels = [0.0025, 0.1025, 0.4975, 0.9775]  # (s − ½) / 200
        quantiles = found.predict(X, quantiles=levels)
        for i, level in enumerate(levels):
            z, _ = found.model_.encode(quantiles[:, i, np.newaxis], condition=X)
            np.testing.assert_allclose(stats.norm.cdf(z[:, 0]), level, rtol=1e-6)

    def test_shapes(self, X, y, fitted, of_two):
        column = regressor().fit(X, y[:, np.newaxis])
        few = X[:7]
        for found, tail in ((fitted[regressor], ()), (of_two, (2,)), (column, (1,))):
            assert found.predict(few).shape == (7, *tail)
            assert found.predict(few, quantiles=0.5).shape == (7, *tail)
            assert found.predict(few, quantiles=[0.1, 0.5, 0.9]).shape == (7, 3, *tail)
            assert found.predict_interval(few).shape == (7, 2, *tail)
            assert found.sample(few).shape == (7, 1, *tail)
            assert found.sample(few, 5, random_state=0).shape == (7, 5, *tail)
        np.testing.assert_array_equal(column.predict(few)[:, 0], fitted[regressor].predict(few))
        assert of_two.log_prob(few, np.zeros([7, 2])).shape == (7,)
        assert np.diff(of_two.predict_interval(few), axis=1).min() > 0.0

    def test_rows_do_not_depend_on_each_other(self, X, fitted, of_two, monkeypatch):
        few = X[:12]
        wholes = [found.predict(few) for found in (fitted[regressor], of_two)]
        monkeypatch.setattr("tfp_nvp.sklearn.flow_conditional._DRAWS", 250)
        for found, whole in zip((fitted[regressor], of_two), wholes, strict=True):
            np.testing.assert_allclose(found.predict(few[::-1])[::-1], whole, rtol=1e-9)
            np.testing.assert_allclose(found.predict(few[5:6])[0], whole[5], rtol=1e-9)

    def test_draws_of_rows_differ(self, X, fitted):
        found = fitted[regressor]
        twice = found.sample(X[[3, 3]], 4, random_state=0)
        assert not np.allclose(twice[0], twice[1])
        np.testing.assert_array_equal(found.sample(X, 2, random_state=7), found.sample(X, 2, random_state=7))
        draws = found.sample(X[:3], 2000, random_state=0)
        np.testing.assert_allclose(draws.mean(axis=1), found.predict(X[:3]), atol=0.2)

    def test_bounds_and_grids_hold(self, X, rng):
        counts = rng.poisson(np.exp(0.3 * X[:, 0]))
        with pytest.warns(UserWarning, match="hold values on a grid"):
            found = regressor(support=(0, None)).fit(X, counts)
        quantiles = found.predict(X, quantiles=[0.05, 0.5, 0.95])
        assert quantiles.min() >= 0.0
        np.testing.assert_array_equal(np.round(quantiles[:, 1]), quantiles[:, 1])

    def test_a_mixture_of_flows_has_means_too(self, X, y):
        def two(event_shape, condition_shape=None, seed=None):
            return MixtureOfFlows([tiny(event_shape, condition_shape, seed) for seed in (0, 1)])

        found = regressor(flow=two, num_samples=100).fit(X, y)
        predicted = found.predict(X)
        assert np.corrcoef(predicted, y)[0, 1] > 0.9
        np.testing.assert_array_equal(found.predict(X), predicted)

    def test_weights_and_names(self, X, y):
        weight = np.linspace(0.1, 3.0, len(X))
        frame = pd.DataFrame(X, columns=["heat", "salt"])
        found = regressor().fit(frame, pd.Series(y, name="rate"), sample_weight=weight)
        assert found.model_.schema.condition_columns == ("heat", "salt")
        model = nvp.fit(y[:, np.newaxis], frame, flow=tiny, epochs=1, seed=0, verbose=0, sample_weight=weight)
        np.testing.assert_array_equal(found.log_prob(frame, y), model.log_prob(y[:, np.newaxis], condition=frame))

    def test_a_grid_is_searched_by_r2_or_the_likelihood(self, X, y):
        search = GridSearchCV(make_pipeline(StandardScaler(), regressor()), {"flowconditional__epochs": [1]}, cv=2)
        assert search.fit(X, y).best_score_ > 0.5
        likelihood = cross_val_score(regressor(), X, y, cv=2, scoring=lambda model, X, y: model.log_prob(X, y).mean())
        assert np.isfinite(likelihood).all()

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda found, X: found.predict(X, quantiles=[0.1, 1.0]), r"`quantiles` must be in \(0, 1\); got 1"),
            (lambda found, X: found.predict_interval(X, 90), r"`level` must be in \(0, 1\); got 90"),
            (lambda found, X: found.sample(X, 0), "`n_samples` must be at least 1; got 0"),
            (lambda found, X: found.log_prob(X, np.zeros(3)), "inconsistent numbers of samples"),
            (lambda found, X: regressor(num_samples=0).fit(X, X[:, 0]), "`num_samples` must be at least 1"),
        ],
    )
    def test_what_it_cannot_answer(self, X, fitted, call, message):
        with pytest.raises(ValueError, match=message):
            call(fitted[regressor], X)


class TestOutlier:
    def test_it_is_an_anomaly_detector(self, X, fitted):
        detector = nvp.AnomalyDetector(seed=0).fit(X, false_positive_rate=0.1, flow=tiny, steps=1, verbose=0)
        found = fitted[outlier]
        np.testing.assert_array_equal(found.score_samples(X), -detector.score(X))
        np.testing.assert_array_equal(found.predict(X) == -1, detector.predict(X))
        assert found.offset_ == -detector.threshold
        assert found.detector_.threshold_ == detector.threshold_
        assert found.predict([[1.0, -3.0], [1e6, 1e6]]).tolist() == [1, -1]

    def test_its_arguments_are_those_of_the_detector(self, X, monkeypatch):
        calls = []

        def record(self, x, **named):
            calls.append((x, named))
            return nvp.AnomalyDetector.calibrate(self, x)

        monkeypatch.setattr(nvp.AnomalyDetector, "fit", record)
        monkeypatch.setattr(nvp.AnomalyDetector, "score", lambda self, x: x[:, 0])
        options = {
            "false_positive_rate": 0.2,
            "calibration_split": 0.4,
            "noise": 0.3,
            "flow": tiny,
            "steps": 7,
            "verbose": 1,
        }
        estimator = FlowOutlier(**options, random_state=4).fit(X)
        assert calls[0][1] == options
        assert estimator.detector_.seed == 4
        assert set(estimator.get_params()) == {*options, "random_state"}

    def test_few_rows_get_the_rate_that_they_permit(self, X):
        with pytest.warns(UserWarning, match="24 held-out rows permit no false-positive rate below 1 / 25"):
            found = outlier(false_positive_rate=None).fit(X)
        assert found.detector_.threshold_.false_positive_rate == 0.04

    def test_an_offset_needs_rows(self, X):
        with pytest.raises(ValueError, match="no threshold yet"):
            outlier(calibration_split=0.0).fit(X)


@pytest.mark.parametrize("make", [density, regressor, outlier])
class TestAll:
    def test_pickles_answer_the_same(self, make, X, fitted):
        found = fitted[make]
        again = pickle.loads(pickle.dumps(found))
        method = "predict" if make is regressor else "score_samples"
        np.testing.assert_allclose(getattr(again, method)(X), getattr(found, method)(X), rtol=1e-12)
        assert again.get_params().keys() == found.get_params().keys()

    def test_before_fit(self, make, X, y):
        estimator = make()
        for _ in range(2):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                estimator.predict(X) if make is regressor else estimator.score_samples(X)
            with pytest.raises(ValueError, match="at least 20 rows"):
                estimator.fit(X[:15], y[:15])

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda X: np.where(X[3, 1] == X, np.nan, X), "Input X contains NaN"),
            (lambda X: np.where(X[3, 1] == X, np.inf, X), "Input X contains infinity"),
            (lambda X: X[:, 0], "Reshape your data"),
            (lambda X: X[:, :1], "X has 1 features, but Flow.* is expecting 2 features"),
            (lambda X: np.ma.masked_where(X[3, 1] == X, X), "`X` is a masked array"),
            (lambda X: X + 1j, "Complex data not supported"),
        ],
    )
    def test_data_that_it_refuses(self, make, X, y, fitted, spoil, message):
        found = fitted[make]
        with pytest.raises(ValueError, match=message):
            found.predict(spoil(X)) if make is regressor else found.score_samples(spoil(X))
        if "expecting" not in message:
            with pytest.raises(ValueError, match=message):
                make().fit(spoil(X), y)
