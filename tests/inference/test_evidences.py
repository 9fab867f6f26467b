"""Evidence of targets whose normalizing constant is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.inference.targets import DEVIATION, LOG_EVIDENCE, MEAN, linear
from tfp_nvp.inference import evidence
from tfp_nvp.inference._estimators import bridge, efficiency, harmonic, importance
from tfp_nvp.inference._target import as_target

tfd = tfp.distributions


class Known(NamedTuple):
    """Exact draws of a density, the density up to Z, and log Z."""

    sample: Callable[[np.random.Generator, int], np.ndarray]
    log_density: Callable[[tf.Tensor], tf.Tensor]
    log_z: float


def of_normal(size: int) -> Known:
    """A normal of correlations 2^−|i − j|."""
    covariance = 0.5 ** np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    precision = tf.constant(np.linalg.inv(covariance), tf.float32)
    return Known(
        lambda rng, n: rng.normal(size=[n, size]) @ np.linalg.cholesky(covariance).T,
        lambda x: -0.5 * tf.reduce_sum(x * tf.matmul(x, precision), axis=-1),
        0.5 * np.linalg.slogdet(2.0 * np.pi * covariance)[1],
    )


def of_bananas(pairs: int) -> Known:
    """Pairs x₁ ~ N(0, 1), x₂ ~ N(x₁² − 1, ½²)."""

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        first, noise = rng.normal(size=[2, n, pairs])
        return np.concatenate([first, first**2 - 1.0 + 0.5 * noise], axis=1)

    def log_density(x: tf.Tensor) -> tf.Tensor:
        first, second = tf.split(x, 2, axis=-1)
        return -0.5 * tf.reduce_sum(first**2 + 4.0 * (second - first**2 + 1.0) ** 2, axis=-1)

    return Known(sample, log_density, pairs * math.log(2.0 * math.pi * 0.5))


def of_modes() -> Known:
    """Two normals, four deviations apart along each of three axes, of weights ⅓ and ⅔."""
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[1.0 / 3.0, 2.0 / 3.0]), tfd.MultivariateNormalDiag([[-2.0] * 3, [2.0] * 3])
    )
    return Known(
        lambda rng, n: rng.normal(size=[n, 3]) + 4.0 * (rng.uniform(size=[n, 1]) > 1.0 / 3.0) - 2.0,
        lambda x: mixture.log_prob(x) + 7.0,
        7.0,
    )


class TestEstimators:
    """Of normals N(0, 1), up to Z = √(2π), and q = N(0.3, 1.2²), or φ = N(0.1, 0.8²)."""

    log_z = 0.5 * math.log(2.0 * math.pi)

    def log_ratios(self, x: np.ndarray, mean: float = 0.3, deviation: float = 1.2) -> np.ndarray:
        log_q = -0.5 * ((x - mean) / deviation) ** 2 - math.log(deviation) - self.log_z
        return -0.5 * x**2 - log_q

    def estimates(self, name: str, rng: np.random.Generator) -> tuple[float, float, float]:
        posterior, draws = rng.normal(size=[4, 100]), 0.3 + 1.2 * rng.normal(size=300)
        if name == "bridge":
            return bridge(self.log_ratios(posterior), self.log_ratios(draws))
        if name == "importance":
            return importance(self.log_ratios(draws))
        return harmonic(self.log_ratios(posterior, 0.1, 0.8))

    @pytest.mark.parametrize("name", ["bridge", "importance", "harmonic"])
    def test_errors_are_those_of_repetitions(self, name, rng):
        values, errors, _ = np.transpose([self.estimates(name, rng) for _ in range(60)])
        assert values.mean() == pytest.approx(self.log_z, abs=4.0 * values.std() / math.sqrt(60.0))
        assert errors.mean() == pytest.approx(values.std(), rel=0.35)

    def test_a_perfect_surrogate_has_no_error(self, rng):
        posterior, draws = rng.normal(size=[2, 50]), rng.normal(size=80)
        for value, error, _ in (
            bridge(self.log_ratios(posterior, 0.0, 1.0), self.log_ratios(draws, 0.0, 1.0)),
            harmonic(self.log_ratios(posterior, 0.0, 1.0)),
        ):
            assert value == pytest.approx(self.log_z, abs=1e-9)
            assert error < 1e-9

    @pytest.mark.parametrize("correlation", [0.0, 0.9])
    def test_correlated_chains_count_less(self, correlation, rng):
        """An autoregressive chain has (1 − ρ) / (1 + ρ) effective draws for each."""
        noise, chains = rng.normal(size=[8, 5000]), np.zeros([8, 5000])
        for i in range(1, 5000):
            chains[:, i] = correlation * chains[:, i - 1] + noise[:, i]
        assert efficiency(chains) == pytest.approx((1.0 - correlation) / (1.0 + correlation), rel=0.15)


def test_it_is_known_of_a_function(rng):
    """From draws of chains alone, the flow being fitted to half of them."""
    known = of_bananas(1)
    draws = np.repeat(known.sample(rng, 2000).reshape(4, 500, 2), 2, axis=1)  # as if every other proposal was rejected
    found = evidence(draws, known.log_density, epochs=8, seed=0)
    for estimate in (found.bridge, found.importance, found.harmonic):
        assert abs(estimate.value - known.log_z) < 4.0 * estimate.error
        assert estimate.error < 0.2
    assert (found.value, found.error) == found.bridge[:2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_known_of_a_joint_distribution(dtype, rng):
    """Of events in its structure, with a flow that is given."""
    target = linear("named", dtype)
    events = {
        "m": rng.normal(MEAN, DEVIATION, size=[2, 300]),
        "s": np.exp(0.5 * rng.normal(size=[2, 300])),
        "w": 0.5 * rng.normal(size=[2, 300, 2]),
    }
    z = as_target(target).vectors({name: part.reshape(600, *part.shape[2:]) for name, part in events.items()})
    flow = nvp.Flow(nvp.distributions.StandardNormal([4], dtype=dtype), nvp.bijectors.ActNorm([4], dtype=dtype))
    flow.initialize(z)
    found = evidence(events, target, flow=flow)
    assert abs(found.value - LOG_EVIDENCE) < 4.0 * found.error
    assert found.error < 0.05
    assert found.flow is flow


@pytest.mark.exhaustive
@pytest.mark.xfail(reason="16 or 17 of 20: errors are a third too small where the flow is fitted to half of the draws")
@pytest.mark.parametrize("known", [of_normal(20), of_bananas(3), of_modes()], ids=["normal", "bananas", "modes"])
def test_errors_are_right_in_18_of_20_runs(known):
    """log Z by bridge sampling is within two of its own standard errors."""
    right = 0
    for seed in range(20):
        x = known.sample(np.random.default_rng([seed, 1]), 3000).astype(np.float32)
        bridge = evidence(x, known.log_density, epochs=30, seed=seed).bridge
        right += abs(bridge.value - known.log_z) < 2.0 * bridge.error
    assert right >= 18


@pytest.mark.exhaustive
def test_errors_of_one_flow_are_those_of_repetitions(rng):
    known = of_normal(20)
    flow = nvp.fit(known.sample(rng, 1500).astype("float32"), epochs=20, seed=0, verbose=0).distribution
    gaps = []
    for seed in range(60):
        found = evidence(known.sample(rng, 1500).astype("float32"), known.log_density, flow=flow, seed=seed)
        estimates = (found.bridge, found.importance, found.harmonic)
        gaps.append([(estimate.value - known.log_z) / estimate.error for estimate in estimates])
    np.testing.assert_allclose(np.std(gaps, axis=0), 1.0, atol=0.3)
    assert (np.mean(np.abs(gaps) < 2.0, axis=0) >= 0.88).all()


class TestBadInput:
    normal = tfd.MultivariateNormalDiag([0.0, 0.0])

    def test_chains_without_variance(self, rng):
        x = rng.normal(size=[3, 50, 2])
        x[1, :, 0] = 4.0
        with pytest.raises(ValueError, match="Chain 1 has no variance: its element 0 is 4 in all 50 draws"):
            evidence(x, self.normal.log_prob)

    def test_draws_that_are_not_finite(self, rng):
        x = rng.normal(size=[200, 2])
        x[3, 1] = np.nan
        with pytest.raises(ValueError, match="`samples` must be finite; 1 of 200 draws are not"):
            evidence(x, self.normal.log_prob)

    def test_too_few(self, rng):
        with pytest.raises(ValueError, match="at least 100 draws"):
            evidence(rng.normal(size=[50, 2]), self.normal.log_prob)
        with pytest.raises(ValueError, match=r"`samples` must be \[n, d\] or \[chains, n, d\]"):
            evidence(rng.normal(size=[50]), self.normal.log_prob)

    def test_a_density_of_other_events(self, rng):
        with pytest.raises(ValueError, match=r"in front of the shapes \[\[2\]\]; their shapes are \[\[200, 3\]\]"):
            evidence(rng.normal(size=[200, 3]), self.normal)

    def test_densities_that_are_not_finite(self, rng):
        x = rng.normal(size=[200, 2]).astype("float32")
        with pytest.raises(ValueError, match="All 200 importance weights are zero"):
            evidence(x, lambda z: tf.fill(tf.shape(z)[:-1], -math.inf), flow=self.flow())
        with pytest.raises(ValueError, match=r"NaN or infinite at [0-9]+ of 200 of its own draws"):
            evidence(x, lambda z: tf.where(z[..., 0] > 0.0, 0.0, -math.inf), flow=self.flow())
        with pytest.raises(ValueError, match="`temperature` must be"):
            evidence(x, self.normal.log_prob, temperature=1.5)

    @staticmethod
    def flow() -> nvp.Flow:
        return nvp.Flow(nvp.distributions.StandardNormal([2]), nvp.bijectors.Chain([tfp.bijectors.Shift([0.0, 0.0])]))
