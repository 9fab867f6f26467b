"""Chains through a flow, on targets whose moments are known."""

import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.inference.targets import DEVIATION, MEAN, linear
from tfp_nvp.inference import neutra, sample_chains, surrogate_posterior
from tfp_nvp.inference._target import as_target
from tfp_nvp.inference.chains import normal_scores

tfd = tfp.distributions


def hmc(log_density):
    return tfp.mcmc.HamiltonianMonteCarlo(log_density, step_size=0.3, num_leapfrog_steps=4)


def bent(dtype: str = "float32") -> nvp.Flow:
    """A flow that is no identity."""
    flow = nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0, dtype=dtype)
    flow.initialize(np.random.default_rng(0).normal(size=[50, 2]))
    for i, variable in enumerate(flow.trainable_variables):
        variable.assign_add(0.2 * tf.random.stateless_normal(variable.shape, [i, 0], dtype=dtype))
    return flow


@pytest.fixture(scope="module")
def chains():
    target = linear("named")
    start = tfd.MultivariateNormalDiag(np.asarray([MEAN, 0.0, 0.0, 0.0], "float32"), np.full(4, 0.6, "float32"))
    surrogate = surrogate_posterior(
        target, start=start, flow=lambda *args, **options: nvp.NICE([4], num_layers=2, **options)
    )
    return sample_chains(target, surrogate, kernel=hmc, num_samples=500, num_warmup=200, jit_compile=False)


class TestChains:
    def test_draws_are_those_of_the_posterior(self, chains):
        m, s = chains.events["m"].numpy(), chains.events["s"].numpy()
        assert m.shape == s.shape == (8, 500)
        assert chains.events["w"].shape == [8, 500, 2]
        assert m.mean() == pytest.approx(MEAN, abs=4.0 * DEVIATION / np.sqrt(chains.ess["m"]))
        assert m.std() == pytest.approx(DEVIATION, rel=0.1)
        assert np.log(s).std() == pytest.approx(0.5, rel=0.1)
        target = as_target(linear("named"))
        np.testing.assert_allclose(target.vectors(chains.events), chains.vectors, atol=1e-5)

    def test_they_say_that_they_converged(self, chains):
        assert chains.worst_r_hat < 1.05
        assert 200.0 < chains.least_ess < 8000.0
        tf.nest.assert_same_structure(chains.r_hat, chains.events)
        assert chains.ess["w"].shape == (2,)

    def test_the_step_is_adapted(self, chains):
        assert chains.acceptance == pytest.approx(0.8, abs=0.08)
        assert chains.step_size != pytest.approx(0.3)
        assert chains.num_gradients == 8 * 500 * 4
        assert chains.diverging.shape == (8, 500)

    def test_arviz_is_asked_for(self, chains, monkeypatch):
        monkeypatch.setitem(sys.modules, "arviz", None)
        with pytest.raises(ImportError, match="pip install arviz"):
            chains.to_arviz()

    @pytest.mark.exhaustive
    def test_nuts_under_xla(self):
        """Through a flow that is wrong, draws are right nonetheless; of an AutoBatched joint, in float64."""
        joint = tfd.JointDistributionSequentialAutoBatched(
            [tfd.Normal(tf.constant(1.0, tf.float64), 0.5), lambda a: tfd.Normal(a, tf.constant(2.0, tf.float64))]
        )
        flow = bent("float64")
        surrogate = tfd.TransformedDistribution(flow, as_target(joint).bijector)
        found = sample_chains(joint, surrogate, num_samples=600, num_warmup=200, num_chains=16)
        assert found.worst_r_hat < 1.1
        first, second = (part.numpy() for part in found.events)
        assert first.mean() == pytest.approx(1.0, abs=0.06)
        assert first.std() == pytest.approx(0.5, rel=0.1)
        assert second.std() == pytest.approx(np.sqrt(4.25), rel=0.1)
        assert found.events[0].dtype == tf.float64


class TestScores:
    def test_of_normal_draws_are_the_draws(self, rng):
        x = rng.normal(size=[500, 4, 2])
        np.testing.assert_allclose(normal_scores(x).std(axis=(0, 1)), 1.0, rtol=0.01)
        assert np.abs(np.sort(normal_scores(x)[..., 0].ravel()) - np.sort(x[..., 0].ravel()))[100:-100].max() < 0.15

    def test_they_depend_on_ranks_alone(self, rng):
        x = rng.normal(size=[50, 4, 2])
        np.testing.assert_allclose(normal_scores(np.exp(5.0 * x)), normal_scores(x))

    def test_equal_draws_have_equal_scores(self):
        scores = normal_scores(np.array([[1.0, 2.0], [2.0, 3.0]])[..., np.newaxis])[..., 0]
        assert scores[0, 1] == scores[1, 0] == pytest.approx(0.0, abs=1e-12)
        assert scores[0, 0] == pytest.approx(-scores[1, 1])


class TestNeutra:
    def test_the_latent_density_is_that_of_the_formula(self):
        flow, target = bent(), tfd.MultivariateNormalDiag([1.0, 0.0])
        seen = []

        def kernel(log_density):
            seen.append(log_density)
            return hmc(log_density)

        through = neutra(flow, target, kernel=kernel)
        z = tf.constant([[0.3, -0.2]])
        results = through.bootstrap_results(flow.bijector.forward(z))
        log_det = flow.bijector.forward_log_det_jacobian(z, 1)
        expected = target.log_prob(flow.bijector.forward(z)) + log_det
        np.testing.assert_allclose(results.inner_results.accepted_results.target_log_prob, expected, atol=1e-5)
        np.testing.assert_allclose(seen[0](z), target.log_prob(z), atol=1e-5)

    def test_gradients_come_from_one_pass(self):
        target = as_target(linear("coroutine"))
        z = tf.random.stateless_normal([5, 4], [0, 1])

        @tf.function
        def both(z):
            return [tfp.math.value_and_gradient(density, z) for density in (target.log_prob, target.one_pass)]

        for first, second in zip(*both(z), strict=True):
            np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)


class TestBadInput:
    normal = tfd.MultivariateNormalDiag([0.0, 0.0])

    def test_no_chain_moves(self):
        def stuck(log_density):
            return tfp.mcmc.RandomWalkMetropolis(
                log_density, new_state_fn=lambda states, seed: [s + 1e6 for s in states]
            )

        with pytest.raises(ValueError, match="No chain ever moved"):
            sample_chains(self.normal, kernel=stuck, num_samples=5, num_warmup=0, jit_compile=False)

    def test_some_chains_do_not_move(self):
        def stuck(log_density):
            steps = tf.constant([[1e6], [0.5], [0.5]])
            new = lambda states, seed: [s + steps * tf.random.stateless_normal(s.shape, seed) for s in states]  # noqa: E731
            return tfp.mcmc.RandomWalkMetropolis(log_density, new_state_fn=new)

        with pytest.warns(UserWarning, match=r"1 of 3 chains never moved"):
            found = sample_chains(
                self.normal, kernel=stuck, num_chains=3, num_samples=50, num_warmup=0, jit_compile=False
            )
        assert np.isnan(found.step_size)

    def test_a_start_without_density(self):
        with pytest.raises(ValueError, match="NaN or infinite where 8 of 8 chains start"):
            sample_chains(lambda z: tf.reduce_sum(z, -1) * np.nan, self.normal, kernel=hmc)

    def test_options(self):
        with pytest.raises(TypeError, match="`surrogate` must be a TransformedDistribution"):
            neutra(tfd.Sample(tfd.Normal(0.0, 1.0), 2), self.normal)
        with pytest.raises(TypeError, match="`kernel` must be a function"):
            sample_chains(self.normal, kernel="nuts")
        with pytest.raises(TypeError, match=r"`kernel\(log_density\)` must be a TransitionKernel"):
            sample_chains(self.normal, kernel=lambda density: 1)
        with pytest.raises(ValueError, match="`num_chains` must be at least 2"):
            sample_chains(self.normal, num_chains=1)
        with pytest.raises(ValueError, match="`target_accept` must be"):
            sample_chains(self.normal, target_accept=1.0)
