"""Gaussian mixtures, kernel densities, and the weights of a mixture, against known answers."""

import numpy as np
import pytest
from scipy import stats

from tfp_nvp.training._candidates.candidates import Kernels, Mixture, as_distribution, log_density
from tfp_nvp.training._candidates.expectation_maximization import fit_components, fit_weights


def two_groups(rng, count=3000):
    near = rng.normal(size=[count, 2]) * [0.5, 1.0] - [2.0, 0.0]
    return np.concatenate([near, rng.normal([2.0, 1.0], size=[count // 2, 2])])


def test_em_finds_two_gaussians(rng):
    x = two_groups(rng)
    components = fit_components(x, 2, 1e-4, seed=0)
    order = components.means[:, 0].argsort()
    # Standard errors are about .02: these are more than five.
    np.testing.assert_allclose(np.exp(components.log_weights[order]), [2 / 3, 1 / 3], atol=0.05)
    np.testing.assert_allclose(components.means[order], [[-2.0, 0.0], [2.0, 1.0]], atol=0.15)
    covariances = components.scale_tril @ np.swapaxes(components.scale_tril, 1, 2)
    np.testing.assert_allclose(covariances[order[0]], np.diag([0.25, 1.0]), atol=0.15)


def test_one_component_is_the_gaussian_of_the_rows(rng):
    x = rng.normal(size=[200, 3])
    weight = rng.uniform(0.5, 1.5, size=200)
    weight /= weight.mean()
    components = fit_components(x, 1, 1e-3, 0, weight)
    expected = np.cov(x.T, aweights=weight, bias=True) + 1e-3 * np.eye(3)
    np.testing.assert_allclose(components.means[0], np.average(x, axis=0, weights=weight))
    np.testing.assert_allclose(components.scale_tril[0] @ components.scale_tril[0].T, expected, rtol=1e-9, atol=1e-12)


def test_rows_that_are_all_equal_do_not_break_it():
    components = fit_components(np.zeros([40, 2]), 4, 0.01, seed=0)
    assert all(np.isfinite(part).all() for part in components)


def test_kernels_are_scipys_kernel_density(rng):
    x, y = two_groups(rng, 200), rng.normal(size=[50, 2])
    components = Kernels(1.0).fit(x, None, 0)
    expected = stats.gaussian_kde(x.T, bw_method="silverman")
    # SciPy's covariance is that of a sample.
    ours = log_density(y, components)
    theirs = expected.logpdf(y.T)
    np.testing.assert_allclose(ours, theirs, atol=0.05)
    for distribution in (as_distribution(components, "float64"), as_distribution(components, "float32")):
        np.testing.assert_allclose(distribution.log_prob(y), ours, rtol=1e-4, atol=1e-4)


def test_a_mixture_as_a_distribution(rng):
    x = two_groups(rng, 300)
    components = Mixture(3, 0.01).fit(x, None, 0)
    np.testing.assert_allclose(
        as_distribution(components, "float64").log_prob(x), log_density(x, components), rtol=1e-9
    )


def test_weights_are_those_of_the_data(rng):
    x = np.concatenate([rng.normal(-2.0, 1.0, 7000), rng.normal(2.0, 1.0, 3000)])
    log_prob = np.stack([stats.norm(-2.0, 1.0).logpdf(x), stats.norm(2.0, 1.0).logpdf(x)], axis=1)
    # A standard error is √(.7 · .3 / n), about .005, and a little more where they overlap.
    np.testing.assert_allclose(fit_weights(log_prob), [0.7, 0.3], atol=0.03)
    np.testing.assert_allclose(fit_weights(log_prob, np.where(x < 0, 1e-9, 1.0)), [0.0, 1.0], atol=0.05)


def test_small_weights_are_dropped_and_impossible_rows_do_no_harm(rng):
    x = rng.normal(size=2000)
    log_prob = np.stack([stats.norm(0.0, 1.0).logpdf(x), stats.norm(0.0, 30.0).logpdf(x)], axis=1)
    np.testing.assert_array_equal(fit_weights(log_prob), [1.0, 0.0])
    log_prob[:5, 0] = -np.inf
    log_prob[0] = -np.inf
    weights = fit_weights(log_prob)
    assert weights.sum() == pytest.approx(1.0)
