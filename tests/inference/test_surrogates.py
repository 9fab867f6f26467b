"""Surrogate posteriors of joint distributions whose posterior is known."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.inference.targets import DEVIATION, LOG_EVIDENCE, MEAN, linear, part
from tfp_nvp.inference import (
    ForwardKL,
    ImportanceWeighted,
    ReverseKL,
    best_start,
    diagonal_start,
    fit_surrogate,
    laplace_start,
    surrogate_posterior,
)
from tfp_nvp.inference._target import as_target
from tfp_nvp.inference._training import Schedule
from tfp_nvp.inference.objectives import slope_of_density

tfd, tfb = tfp.distributions, tfp.bijectors
small = functools.partial(nvp.RealNVP, num_layers=2, hidden_units=[16], activation="tanh")
fit = functools.partial(fit_surrogate, flow=small, jit_compile=False, sample_size=32)


@pytest.fixture(scope="module")
def fitted():
    return fit(linear("coroutine"), num_steps=300)


class TestStructure:
    @pytest.mark.parametrize(
        ("kind", "dtype"), [("named", "float64"), pytest.param("sequential", "float32", marks=pytest.mark.exhaustive)]
    )
    def test_samples_have_that_of_the_joint(self, kind, dtype):
        target = linear(kind, dtype)
        surrogate = surrogate_posterior(target, flow=small, start=laplace_start)
        events = surrogate.sample([5], seed=1)
        tf.nest.assert_same_structure(events, target.event_shape)
        assert {value.dtype.name for value in tf.nest.flatten(events)} == {dtype}
        assert (part(events, "s").numpy() > 0.0).all()
        gaps = target.unnormalized_log_prob(events) - surrogate.log_prob(events)
        flow = surrogate.distribution
        z = as_target(target).vectors(events)
        np.testing.assert_allclose(gaps, as_target(target).log_prob(z) - flow.log_prob(z), atol=1e-4)
        # The posterior is Gaussian but for s, which is so in logarithms: the start alone is close to it.
        assert part(surrogate.sample(4000, seed=2), "m").numpy().mean() == pytest.approx(MEAN, abs=0.05)

    def test_variables_are_those_of_the_flow(self, fitted):
        ours, stock = fitted.surrogate.distribution.trainable_variables, fitted.surrogate.trainable_variables
        assert {id(v) for v in ours} == {id(v) for v in stock}

    @pytest.mark.exhaustive
    def test_one_number(self):
        surrogate = surrogate_posterior(tfd.Gamma(3.0, 1.0), start=laplace_start)
        assert surrogate.sample(7, seed=0).shape == [7]

    def test_tfp_fits_it(self):
        target = linear("sequential")
        surrogate = surrogate_posterior(target, flow=small, start=tfd.MultivariateNormalDiag(np.zeros(4, np.float32)))
        losses = tfp.vi.fit_surrogate_posterior(
            target.unnormalized_log_prob,
            surrogate,
            optimizer=keras.optimizers.Adam(1e-2),
            num_steps=60,
            sample_size=16,
            trainable_variables=surrogate.trainable_variables,
            seed=tf.constant([0, 1]),
        )
        assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 1.0

    @pytest.mark.exhaustive
    def test_its_flow_is_exported(self, fitted, tmp_path):
        nvp.export(fitted.surrogate.distribution, tmp_path / "posterior")
        served = nvp.serving.load(tmp_path / "posterior")
        z = served.sample(20, seed=1)
        events = fitted.surrogate.bijector.forward(tf.constant(z))
        log_det = fitted.surrogate.bijector.forward_log_det_jacobian(tf.constant(z), 1)
        expected = fitted.surrogate.log_prob(events) + log_det
        np.testing.assert_allclose(served.log_prob(z), expected, atol=1e-3)


class TestStarts:
    correlated = tfd.MultivariateNormalTriL([100.0, -3.0], [[2.0, 0.0], [1.9, 0.1]])

    def test_laplace_is_exact_for_gaussians(self):
        start = laplace_start(self.correlated)
        np.testing.assert_allclose(start.mean(), self.correlated.mean(), atol=0.05)
        np.testing.assert_allclose(start.covariance(), self.correlated.covariance(), rtol=0.05)

    def test_diagonal_has_the_conditional_deviations(self):
        """The factored Gaussian closest by reverse KL has the variances 1 / (Σ⁻¹)_ii."""
        target = tfd.MultivariateNormalTriL([1.0, -3.0], [[1.0, 0.0], [0.6, 0.8]])
        precision = np.linalg.inv(target.covariance())
        start = diagonal_start(target)
        np.testing.assert_allclose(start.stddev(), np.diag(precision) ** -0.5, rtol=0.1)
        np.testing.assert_allclose(start.mean(), target.mean(), atol=0.1)

    @pytest.mark.exhaustive
    def test_the_best_is_taken(self):
        np.testing.assert_allclose(best_start(self.correlated).covariance(), self.correlated.covariance(), rtol=0.05)
        logistic = tfd.Sample(tfd.Cauchy(0.0, 1.0), 2)
        assert np.isfinite(best_start(logistic).mean()).all()

    @pytest.mark.exhaustive
    def test_a_surrogate_starts_there(self):
        surrogate = surrogate_posterior(self.correlated, flow=small, start=laplace_start)
        x = surrogate.sample(20_000, seed=1).numpy()
        np.testing.assert_allclose(np.cov(x.T), self.correlated.covariance(), rtol=0.06)


class TestObjectives:
    target = as_target(tfd.MultivariateNormalDiag([1.0, 0.0], [1.0, 0.5]))

    def gradients(self, objective, flow, num_draws):
        with tf.GradientTape() as tape:
            loss = objective.loss(flow, self.target.log_prob_and_slope, num_draws, tf.constant([0, 1]))
        return loss, [g.numpy() for g in tape.gradient(loss, flow.trainable_variables)]

    def affine(self, shift, log_scale):
        layer = nvp.bijectors.ActNorm([2])
        layer.shift.assign(shift)
        layer.log_scale.assign(log_scale)
        return nvp.Flow(nvp.distributions.StandardNormal([2]), layer)

    @pytest.mark.parametrize("path_gradient", [True, False])
    def test_gradients_of_reverse_kl_are_those_of_the_formula(self, path_gradient):
        """KL of Gaussians: ∂/∂μ = (μ − m) / s², ∂/∂ log σ = σ² / s² − 1."""
        flow = self.affine([0.0, 0.3], [0.2, 0.0])
        loss, (shift, log_scale) = self.gradients(ReverseKL(path_gradient=path_gradient), flow, 200_000)
        scales = np.exp([0.2, 0.0])
        np.testing.assert_allclose(shift, [-1.0, 1.2], atol=0.02)
        np.testing.assert_allclose(log_scale, scales**2 / [1.0, 0.25] - 1.0, atol=0.03)
        q = tfd.MultivariateNormalDiag([0.0, 0.3], np.float32(scales))
        kl = tfd.kl_divergence(q, tfd.MultivariateNormalDiag([1.0, 0.0], [1.0, 0.5]))
        assert float(loss) == pytest.approx(float(kl), abs=0.02)

    def test_the_path_gradient_of_the_optimum_is_zero(self):
        flow = self.affine([1.0, 0.0], np.log([1.0, 0.5]))
        for objective in (ReverseKL(), ImportanceWeighted(4)):
            assert max(np.abs(g).max() for g in self.gradients(objective, flow, 16)[1]) < 1e-5
        assert max(np.abs(g).max() for g in self.gradients(ReverseKL(path_gradient=False), flow, 16)[1]) > 0.01

    def test_importance_weights_tighten_the_bound(self):
        flow = self.affine([0.0, 0.3], [0.5, 0.0])
        bounds = [float(self.gradients(ImportanceWeighted(k), flow, 64_000)[0]) for k in (1, 8, 64)]
        assert bounds[0] == pytest.approx(float(self.gradients(ReverseKL(), flow, 64_000)[0]), abs=1e-4)
        assert bounds[0] > bounds[1] > bounds[2] > -0.02

    def test_gradients_of_importance_weights_are_those_of_the_bound(self):
        """By differences of the bound, with the same draws."""
        objective, num = ImportanceWeighted(4), 400_000
        found = self.gradients(objective, self.affine([0.0, 0.3], [0.2, 0.0]), num)[1][0][0]
        ends = [float(self.gradients(objective, self.affine([e, 0.3], [0.2, 0.0]), num)[0]) for e in (-0.05, 0.05)]
        assert found == pytest.approx((ends[1] - ends[0]) / 0.1, abs=0.01)

    def test_gradients_of_forward_kl_are_those_of_the_formula(self):
        """KL(p ‖ q): ∂/∂μ = (μ − m) / σ², ∂/∂ log σ = 1 − (s² + (m − μ)²) / σ²."""
        flow = self.affine([0.0, 0.3], [0.5, 0.3])
        _, (shift, log_scale) = self.gradients(ForwardKL(), flow, 400_000)
        variances = np.exp([1.0, 0.6])
        np.testing.assert_allclose(shift, [-1.0 / variances[0], 0.3 / variances[1]], atol=0.02)
        np.testing.assert_allclose(log_scale, 1.0 - np.array([2.0, 0.25 + 0.09]) / variances, atol=0.03)

    def test_slopes_are_constants_of_the_weights(self):
        flow = self.affine([0.0, 0.0], [0.0, 0.0])
        with tf.GradientTape() as tape:
            slope = slope_of_density(flow, tf.constant([[1.0, 2.0]]))
        np.testing.assert_allclose(slope, [[-1.0, -2.0]], atol=1e-6)
        assert tape.gradient(slope, flow.trainable_variables) == (None, None)


class TestFit:
    def test_it_is_the_posterior(self, fitted):
        sample = fitted.importance_sample(2000)
        assert sample.is_reliable
        assert sample.ess > 1500
        mean, error = sample.expectation(lambda events: {"m": events.m, "square": (events.m - MEAN) ** 2})
        assert abs(mean["m"] - MEAN) < 4.0 * error["m"]
        assert abs(mean["square"] - DEVIATION**2) < 4.0 * error["square"]
        assert abs(sample.log_evidence - LOG_EVIDENCE) < 4.0 * sample.log_evidence_error + 1e-4
        assert fitted.bound == pytest.approx(LOG_EVIDENCE, abs=0.05)
        assert fitted.left_out == 0.0

    def test_a_function_and_a_flow(self, capfd):
        flow = nvp.RealNVP([2], num_layers=2, hidden_units=[16], seed=0, dtype="float64")
        flow.initialize(np.random.default_rng(0).normal(size=[50, 2]))
        found = fit_surrogate(
            lambda x: -tf.reduce_sum((x - 2.0) ** 2, axis=-1) / 2.0,
            flow,
            objective=ImportanceWeighted(4),
            num_steps=200,
            learning_rate=2e-2,
            sample_size=32,
            anneal_from=0.2,
            jit_compile=False,
            verbose=True,
        )
        assert found.surrogate is flow
        assert found.bound == pytest.approx(np.log(2.0 * np.pi), abs=0.1)
        assert "fitting: 100%" in capfd.readouterr().err

    @pytest.mark.exhaustive
    def test_seeds_give_one_result_and_restarts_the_best(self):
        normal = tfd.MultivariateNormalDiag([3.0, -1.0], [0.1, 2.0])
        start = tfd.MultivariateNormalDiag([2.0, 0.0])
        runs = [fit(normal, start=start, num_steps=40, seed=seed).bound for seed in (1, 1, 2)]
        assert runs[0] == runs[1] != runs[2]
        assert fit(normal, start=start, num_steps=40, seed=1, restarts=2).bound == max(runs)

    def test_it_stops_where_the_bound_no_longer_improves(self):
        normal = tfd.MultivariateNormalDiag([3.0, -1.0])
        found = fit(normal, start=normal, num_steps=2000, patience=1)
        assert len(found.losses) < 1000

    @pytest.mark.exhaustive
    def test_xla_gives_the_same(self):
        target = linear("coroutine")
        plain, compiled = (
            fit_surrogate(target, flow=small, num_steps=40, sample_size=16, jit_compile=jit) for jit in (False, True)
        )
        assert plain.bound == pytest.approx(compiled.bound, abs=0.01)  # XLA has other random numbers

    def test_the_density_is_annealed_in_the_first_half(self):
        schedule = Schedule(100, 32, 1e-2, anneal_from=0.2)
        powers = [float(schedule.power(tf.constant(step))) for step in (0.0, 25.0, 50.0, 90.0)]
        assert powers == pytest.approx([0.2, 0.6, 1.0, 1.0])
        assert (schedule.windows, schedule.window) == (2, 50)
        assert [schedule.is_annealed(window) for window in range(2)] == [False, True]


class TestBadInput:
    def test_discrete_parts(self):
        joint = tfd.JointDistributionSequential([tfd.Poisson(2.0), tfd.Bernoulli(0.5)])
        with pytest.raises(ValueError, match="real numbers of one dtype"):
            surrogate_posterior(joint)
        with pytest.raises(ValueError, match="no bijector onto them"):
            surrogate_posterior(tfd.Poisson(2.0))

    def test_events_without_a_bijector(self):
        class Odd(tfd.Normal):
            def _default_event_space_bijector(self):
                raise NotImplementedError("none")

        with pytest.raises(ValueError, match=r"can't be mapped to a vector.*Give one as `bijector`"):
            surrogate_posterior(Odd(0.0, 1.0))
        assert surrogate_posterior(Odd(0.0, 1.0), bijector=tfb.Identity(), start=laplace_start).event_shape == []

    def test_a_batch(self):
        with pytest.raises(ValueError, match="batch shape \\[\\]"):
            surrogate_posterior(tfd.Normal([0.0, 1.0], 1.0))

    def test_nan(self):
        class Nan(tfd.MultivariateNormalDiag):
            def _log_prob(self, x, **kwargs):
                return tf.math.log(x[..., 0] - x[..., 0]) * float("nan")

        with pytest.raises(ValueError, match="not finite"), pytest.warns(UserWarning, match="diagonal start failed"):
            surrogate_posterior(Nan([0.0, 0.0]))
        with pytest.raises(ValueError, match="not finite at 100 of 100 draws of the start: it is NaN there"):
            surrogate_posterior(Nan([0.0, 0.0]), start=tfd.MultivariateNormalDiag([0.0, 0.0]))

    def test_a_function_alone(self):
        with pytest.raises(TypeError, match="give the surrogate or flow as well"):
            fit_surrogate(lambda x: x)

    def test_draws_that_are_not_finite_are_left_out(self):
        flow = self.flow()
        with pytest.warns(UserWarning, match="% of the draws were left out"):
            found = fit_surrogate(
                lambda x: tf.math.log(x[..., 0]) - tf.reduce_sum(x**2, -1), flow, num_steps=20, jit_compile=False
            )
        assert 0.1 < found.left_out < 0.9
        assert all(np.isfinite(v.numpy()).all() for v in flow.trainable_variables)

    @staticmethod
    def flow():
        flow = nvp.RealNVP([2], num_layers=2, hidden_units=[16], seed=0)
        flow.initialize(np.random.default_rng(0).normal(size=[50, 2]))
        return flow

    def test_options(self):
        normal = tfd.MultivariateNormalDiag([0.0, 0.0])
        with pytest.raises(ValueError, match="multiple of `num_importance`, 8; got 12"):
            fit_surrogate(normal, objective=ImportanceWeighted(), sample_size=12)
        with pytest.raises(TypeError, match="`objective` must be an Objective"):
            fit_surrogate(normal, objective="kl")
        with pytest.raises(ValueError, match="`anneal_from` must be"):
            fit_surrogate(normal, anneal_from=0.0)
        with pytest.raises(ValueError, match="no trainable variables"):
            fit_surrogate(normal, normal)
        with pytest.raises(ValueError, match="Give either a `surrogate`"):
            fit_surrogate(normal, self.flow(), restarts=2)
        with pytest.raises(ValueError, match=r"`start` must be over vectors \[2\]"):
            surrogate_posterior(normal, start=tfd.MultivariateNormalDiag([0.0]))
        with pytest.raises(ValueError, match=r"`flow` must make a flow of events \[2\]"):
            surrogate_posterior(normal, start=laplace_start, flow=lambda *_, **__: small([3]))
