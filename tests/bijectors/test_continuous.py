"""Continuous flows: known solutions, the trace's estimate, errors of the solver."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tfp_nvp._estimates import drawn_from
from tfp_nvp.bijectors import Continuous
from tfp_nvp.conditioners import MLP, ConvNet
from tfp_nvp.solvers import AdaptiveDormandPrince, RungeKutta4
from tfp_nvp.testing import check_bijector


@keras.saving.register_keras_serializable("tests")
class Linear(keras.layers.Layer):
    """The velocity A x + t b."""

    def __init__(self, **kwargs):
        super().__init__(dtype="float64", **kwargs)
        rng = np.random.default_rng(0)
        self.a, self.b = rng.normal(size=(3, 3)), rng.normal(size=3)

    def call(self, x, condition=None):
        return x @ tf.constant(self.a.T) + condition[:, :1] * self.b


def network(seed: int = 0, **arguments) -> MLP:
    return MLP(hidden_units=[8], activation="tanh", seed=seed, dtype="float64", **arguments)


def test_a_linear_equation_has_the_matrix_exponential(rng):
    linear = Linear()
    layer = Continuous(linear, [3], solver=AdaptiveDormandPrince(1e-10, 1e-10), dtype="float64")
    z = rng.normal(size=(5, 3))
    values, vectors = np.linalg.eig(linear.a)
    exponential = (vectors * np.exp(values)) @ np.linalg.inv(vectors)
    # x(1) = exp(A) z + ∫ exp(A (1 − t)) b t dt = exp(A) z + A⁻² (exp(A) − 1 − A) b
    inhomogeneous = np.linalg.solve(linear.a @ linear.a, (exponential - np.eye(3) - linear.a) @ linear.b)
    x, log_det = layer.forward_and_log_det(z)
    np.testing.assert_allclose(x, (z @ exponential.T + inhomogeneous).real, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(log_det, np.full(5, np.trace(linear.a)), rtol=1e-7)


def test_the_density_is_within_its_accuracy_of_a_finer_solution(rng):
    flow = randomized(nvp.ContinuousFlow([2], hidden_units=[16], seed=0))
    (layer,) = (part for part in flow.parts() if isinstance(part, Continuous))
    x = tf.constant(rng.normal(size=(64, 2)), tf.float32)
    error, error_of_log_det = layer.solver_error(x)
    assert max(error, error_of_log_det) < layer.accuracy
    assert layer.num_evaluations(x[:2]).numpy().tolist() == [64, 64]


def test_the_estimate_of_the_trace_is_unbiased(rng):
    exact, estimated = (
        randomized(Continuous(network(), [3], max_exact=most, num_probes=2, solver=RungeKutta4(4), dtype="float64"))
        for most in (32, 0)
    )
    assert (exact.has_exact_log_det, estimated.has_exact_log_det) == (True, False)
    rows = np.repeat(rng.normal(size=(1, 3)), 4000, axis=0)
    right = exact.inverse_and_log_det(rows[:1])[1]
    with drawn_from(tf.constant([1, 2])):
        draws = estimated.inverse_and_log_det(rows)[1].numpy()
    assert abs(draws.mean() - right[0]) < 5.0 * draws.std() / np.sqrt(len(draws))
    assert draws.std() > 1e-4
    fixed = estimated.inverse_and_log_det(rows[:3])[1].numpy()
    np.testing.assert_array_equal(fixed, fixed[:1].repeat(3))


def test_a_flow_tells_the_standard_error_of_its_density(rng):
    sizes = {"hidden_units": [8], "solver": RungeKutta4(1), "seed": 0}
    flow = randomized(nvp.ContinuousFlow([3], max_exact=0, num_probes=1, **sizes))
    exact = randomized(nvp.ContinuousFlow([3], **sizes))
    x = rng.normal(size=(20, 3)).astype(np.float32)
    estimate = tf.function(lambda x: flow.log_prob_and_error(x, num_draws=8, seed=1))
    log_prob, error = (part.numpy() for part in estimate(x))
    # Student's t with 7 degrees of freedom exceeds 10 once in 47,000.
    assert (np.abs(log_prob - exact.log_prob(x)) < 10.0 * error + 1e-4).all()
    np.testing.assert_array_equal(exact.log_prob_and_error(x)[1], np.zeros(20))
    np.testing.assert_array_equal(flow.log_prob(x, seed=3), flow.log_prob(x, seed=3))
    assert not np.allclose(flow.log_prob(x, seed=3), flow.log_prob(x, seed=4), atol=1e-6)


@pytest.mark.exhaustive
def test_penalties_are_part_of_the_loss_of_training_alone(rng):
    x = rng.normal(size=(64, 2)).astype(np.float32)
    losses = []
    for kinetic in (0.0, 1.0):
        flow = nvp.ContinuousFlow(
            [2], hidden_units=[8], kinetic=kinetic, jacobian=kinetic, solver=RungeKutta4(2), seed=0
        )
        model = nvp.FlowModel(randomized(flow))
        model.compile("sgd")
        losses.append(
            (model.fit(x, epochs=1, batch_size=64, verbose=0).history["loss"][0], model.evaluate(x, verbose=0))
        )
    assert losses[1][0] > losses[0][0] + 0.01
    assert np.ravel(losses[0][1])[0] == pytest.approx(np.ravel(losses[1][1])[0], rel=0.2)


def test_images_have_convolutional_velocities(rng):
    net = ConvNet(hidden_units=4, activation="tanh", seed=0, dtype="float64")
    layer = randomized(Continuous(net, [4, 4, 1], solver=RungeKutta4(8), condition_shape=[2], dtype="float64"))
    z, condition = rng.normal(size=(3, 4, 4, 1)), rng.normal(size=(3, 2))
    x, log_det = layer.forward_and_log_det(z, condition)
    assert (x.shape, log_det.shape) == (z.shape, (3,))
    np.testing.assert_allclose(layer.inverse(x, condition=condition), z, atol=layer.accuracy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "rk4"}, "`solver` must be"),
        ({"num_probes": 0}, "`num_probes` must be at least 1"),
        ({"kinetic": -1.0}, "`kinetic` must be"),
        ({"max_exact": -1}, "`max_exact` must be at least 0"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Continuous(network(), [2], dtype="float64", **arguments)


class Wrong(Continuous):
    """A continuous flow whose log-det is off by a twentieth."""

    def _inverse_and_log_det(self, x, condition):
        z, log_det = super()._inverse_and_log_det(x, condition)
        return z, 1.05 * log_det


def test_the_verifiers_allowance_for_a_solver_does_not_hide_a_wrong_log_det(rng):
    layer = randomized(Wrong(network(), [2], solver=RungeKutta4(4), dtype="float64"))
    report = check_bijector(layer, rng.normal(size=(3, 2)), only=["inverse_log_det"], raise_on_failure=False)
    assert not report.passed
