"""C2ST and MMD of samples whose distance is known."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from tfp_nvp.evaluation import c2st, mmd


def kernel_mean(x: np.ndarray, y: np.ndarray, bandwidth: float, same: bool) -> float:
    """The mean of the kernel over pairs of rows, without those of a row with itself if x and y are the same."""
    values = np.exp(-np.square(x[:, None] - y).sum(axis=-1) / (2.0 * bandwidth**2))
    return values[~np.eye(len(x), dtype=bool)].mean() if same else values.mean()


class TestMMD:
    def test_it_is_the_mean_over_pairs(self, rng):
        x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1.0
        center, scale = [2.0, -5.0, 0.0], np.array([0.1, 10.0, 1.0])
        standard = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1), (y - x.mean(axis=0)) / x.std(axis=0, ddof=1)
        expected = sum(kernel_mean(z, z, 0.8, True) for z in standard) - 2.0 * kernel_mean(*standard, 0.8, False)
        assert mmd(x, y, bandwidth=0.8) == pytest.approx(expected, rel=1e-10)
        assert mmd(x * scale + center, y * scale + center, bandwidth=0.8) == pytest.approx(expected, rel=1e-6)

    def test_it_is_that_of_gaussians(self, rng):
        """MMD² of N(0, I) and N(μ, I) is 2 (b² / (b² + 2))^(d/2) (1 − exp(−|μ|² / (2 (b² + 2))))."""
        n, d, b, shift = 2000, 2, 1.5, np.array([2.0, 1.0])
        exact = 2.0 * (b**2 / (b**2 + 2.0)) ** (d / 2) * (1.0 - np.exp(-(shift @ shift) / (2.0 * (b**2 + 2.0))))
        found = mmd(rng.normal(size=(n, d)), rng.normal(size=(n, d)) + shift, bandwidth=b)
        assert found == pytest.approx(exact, abs=0.03)
        assert exact > 0.4

    def test_it_is_without_bias(self, rng):
        found = [mmd(*rng.normal(size=(2, 40, 2))) for _ in range(200)]
        assert min(found) < 0.0
        assert abs(np.mean(found)) < 4.0 * np.std(found) / np.sqrt(200)

    def test_blocks_add_up(self, rng, monkeypatch):
        x, y = rng.normal(size=(2, 50, 2))
        whole = mmd(x, y)
        monkeypatch.setattr("tfp_nvp.evaluation._mmd._BLOCK", 130)
        assert mmd(x, y) == pytest.approx(whole, rel=1e-12)

    def test_equal_rows_have_a_bandwidth(self):
        assert mmd(np.ones([5, 2]), np.ones([6, 2])) == pytest.approx(0.0, abs=1e-12)

    def test_what_is_no_bandwidth(self, rng):
        with pytest.raises(ValueError, match="`bandwidth` must be positive"):
            mmd(*rng.normal(size=(2, 5, 2)), bandwidth=0.0)


class TestC2ST:
    def test_it_is_the_accuracy_of_the_best_classifier(self, rng):
        """Two Gaussians of one width, whose means are 2 deviations apart, are told apart with Φ(1) = 0.841."""
        x, y = rng.normal(size=(2, 4000, 1))
        found = c2st(x, y + 2.0, classifier=LogisticRegression())
        assert found == pytest.approx(stats.norm.cdf(1.0), abs=0.02)
        assert c2st(x, y, classifier=LogisticRegression()) == pytest.approx(0.5, abs=0.03)

    def test_the_network_sees_what_a_line_does_not(self, rng):
        x, y = rng.normal(size=(2, 200, 2))
        assert c2st(x, 4.0 * y) > 0.75 > 0.6 > c2st(x, 4.0 * y, classifier=LogisticRegression())

    def test_the_seed_decides_all(self, rng):
        x, y = rng.normal(size=(100, 1)), rng.normal(size=(60, 1)) + 1.0
        found = [c2st(x, y, classifier=LogisticRegression(), seed=seed) for seed in (1, 1, 2)]
        assert found[0] == found[1] != found[2]

    def test_of_the_larger_sample_as_many_rows_are_taken(self, rng):
        x = rng.normal(size=(900, 1))
        assert c2st(x, rng.normal(size=(100, 1)), classifier=LogisticRegression()) < 0.65  # not the share of 0.9


@pytest.mark.parametrize("distance", [c2st, mmd])
class TestBoth:
    def test_columns_are_taken_by_name(self, distance, rng):
        import pandas as pd

        options = {"classifier": LogisticRegression()} if distance is c2st else {}
        x = pd.DataFrame(rng.normal(size=(60, 2)) * [1.0, 100.0], columns=["a", "b"])
        y = pd.DataFrame(rng.normal(size=(60, 2)) * [1.0, 100.0] + 0.5, columns=["a", "b"])
        assert distance(x, y[["b", "a"]], **options) == distance(x, y, **options)
        with pytest.raises(ValueError, match="`samples` must have the columns of `reference`, 'a', 'b'; it has 'a'"):
            distance(x, y[["a"]])

    @pytest.mark.parametrize(
        ("reference", "samples", "message"),
        [
            (np.zeros([5, 2]), np.zeros([5, 3]), r"`samples` must have the 2 column\(s\) of `reference`; it has 3"),
            (np.zeros([5]), np.zeros([5, 3]), r"`reference` must have shape \[n, d\]"),
            (np.zeros([1, 2]), np.zeros([5, 2]), "`reference` must have at least 2 rows; it has 1"),
            (np.zeros([5, 2]), np.full([5, 2], np.nan), "Values in `samples` must be finite"),
        ],
    )
    def test_what_are_no_two_samples(self, distance, reference, samples, message):
        with pytest.raises(ValueError, match=message):
            distance(reference, samples)


def test_folds_need_rows(rng):
    with pytest.raises(ValueError, match="`num_folds` must be at most the number of rows, 6; got 9"):
        c2st(*rng.normal(size=(2, 3, 1)), num_folds=9)
