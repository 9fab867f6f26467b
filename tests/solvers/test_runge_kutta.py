"""Solvers: known solutions, orders of convergence, rows of their own, derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.solvers import AdaptiveDormandPrince, DormandPrince5, RungeKutta4


def growth(t, x):
    """dx/dt = x cos t with the solution x₀ exp(sin t), and the rate t² of an integral."""
    return x * tf.cos(t)[:, None], t[:, None] ** 2


def ends(solver, start=0.0, end=1.0):
    x = tf.constant([[1.0], [-2.0]], tf.float64)
    solution = solver.solve(growth, x, start=start, end=end)
    exact = x * np.exp(np.sin(end) - np.sin(start))
    return np.abs(solution.x - exact).max(), np.abs(solution.integrals - (end**3 - start**3) / 3.0).max()


@pytest.mark.parametrize(("kind", "order"), [(RungeKutta4, 4), (DormandPrince5, 5)])
@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (1.0, 0.0)])
def test_errors_shrink_with_the_order(kind, order: int, start: float, end: float):
    coarse, fine = (ends(kind(steps), start, end)[0] for steps in (8, 16))
    assert order - 0.5 < np.log2(coarse / fine) < order + 1.5
    assert ends(kind(8), start, end)[1] < 1e-12  # integrals of t² are exact from the third order on


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
def test_an_adaptive_solution_is_within_its_tolerance(tolerance: float):
    error, error_of_integral = ends(AdaptiveDormandPrince(tolerance, tolerance), 1.0, 0.0)
    assert max(error, error_of_integral) < 20.0 * tolerance  # of each of some steps


def test_rows_have_step_sizes_of_their_own():
    def stiff(t, x):
        return -x[:, :1] * x[:, 1:] * [[1.0, 0.0]], x[:, :0]

    x = tf.constant([[1.0, 1.0], [1.0, 300.0]], tf.float64)
    solver = AdaptiveDormandPrince(1e-6, 1e-6, max_steps=500)
    together = solver.solve(stiff, x, start=0.0, end=1.0)
    for i in range(2):
        alone = solver.solve(stiff, x[i : i + 1], start=0.0, end=1.0)
        np.testing.assert_allclose(together.x[i], alone.x[0], rtol=1e-12)
        assert int(together.num_evaluations[i]) == int(alone.num_evaluations[0])
    assert int(together.num_evaluations[1]) > 3 * int(together.num_evaluations[0])


def test_a_row_that_does_not_arrive_is_nan():
    solution = AdaptiveDormandPrince(1e-8, 1e-8, max_steps=3).solve(growth, tf.ones([1, 1]), start=0.0, end=1.0)
    assert np.isnan(solution.x).all()
    assert np.isnan(solution.integrals).all()


@pytest.mark.parametrize("solver", [RungeKutta4(3), AdaptiveDormandPrince(1e-3, 1e-3, 20)], ids=["fixed", "adaptive"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_derivatives_are_those_of_the_steps(solver, jit_compile: bool):
    rate, power = tf.Variable(0.7, dtype=tf.float64), tf.constant([[1.3], [0.4]], tf.float64)

    def dynamics(t, x, power):
        return rate * tf.sin(x) * power + t[:, None], x**2

    def total(x, power):
        solution = solver.solve(dynamics, x, start=0.0, end=1.0, inputs=[power], variables=[rate])
        return tf.reduce_sum(solution.x**2) + tf.reduce_sum(solution.integrals)

    @tf.function(jit_compile=jit_compile)
    def gradients(x, power):
        with tf.GradientTape() as tape:
            tape.watch([x, power])
            value = total(x, power)
        return tape.gradient(value, [x, power, rate])

    x, step = tf.constant([[0.3], [-1.0]], tf.float64), 1e-6
    by_x, by_power, by_rate = gradients(x, power)
    directions = [(step, 0.0), (0.0, step)]
    for (dx, dp), found in zip(directions, (by_x, by_power), strict=True):
        difference = (total(x + dx, power + dp) - total(x - dx, power - dp)) / (2.0 * step)
        # An adaptive solver's steps change with x; its derivative holds them.
        np.testing.assert_allclose(tf.reduce_sum(found), difference, rtol=1e-3 if "Adaptive" in repr(solver) else 1e-7)
    rate.assign_add(step)
    above = total(x, power)
    rate.assign_sub(2.0 * step)
    below = total(x, power)
    rate.assign_add(step)
    rtol = 1e-3 if "Adaptive" in repr(solver) else 1e-7
    np.testing.assert_allclose(by_rate, (above - below) / (2.0 * step), rtol=rtol)


def test_arguments():
    assert RungeKutta4(3) == RungeKutta4(3) != RungeKutta4(4)
    assert RungeKutta4(3).finer(10) == RungeKutta4(30)
    with pytest.raises(ValueError, match="`num_steps` must be at least 1"):
        DormandPrince5(0)
    with pytest.raises(ValueError, match="`rtol` must be positive"):
        AdaptiveDormandPrince(rtol=0.0)
