"""Continuous flows: the solution of an ordinary differential equation."""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks, shapes
from tfp_nvp._estimates import needs_log_det, penalize, seed_for
from tfp_nvp.bijectors._network import connect, raw_numbers
from tfp_nvp.bijectors.bijector import Bijector, Step
from tfp_nvp.solvers import RungeKutta4
from tfp_nvp.solvers.solver import Solution, Solver

#: Frequencies of the time features sin(π k t), cos(π k t).
NUM_FREQUENCIES = 3


_guidance: contextvars.ContextVar[float | None] = contextvars.ContextVar("guidance", default=None)


@contextlib.contextmanager
def guided(guidance: float) -> Iterator[None]:
    """Has velocities be f(x, t, 0) + g (f(x, t, c) − f(x, t, 0)), while open."""
    token = _guidance.set(guidance)
    try:
        yield
    finally:
        _guidance.reset(token)


_refinement: contextvars.ContextVar[int] = contextvars.ContextVar("refinement", default=1)


@contextlib.contextmanager
def solved_finer(factor: int) -> Iterator[None]:
    """Has continuous flows be solved with `factor` times as many steps, or so much smaller a tolerance, while open."""
    token = _refinement.set(factor)
    try:
        yield
    finally:
        _refinement.reset(token)


class Continuous(Bijector):
    """x = x(1), where dx/dt = f(x, t, c) and x(0) = z.

        log |det ∂x/∂z| = ∫₀¹ tr ∂f/∂x dt

    f is a conditioner, which sees t by seven features, t, sin(π k t) and cos(π k t) for k up to 3, joined to the
    condition. The inverse solves the same equation from t = 1 to 0. Both directions are right up to the solver's error,
    which `solver_error` measures; derivatives are those of the steps that were taken.

    The trace is exact for events of up to `max_exact` numbers, from as many products of a vector with the Jacobian;
    above, it is Hutchinson's estimate, the mean of εᵀ (∂f/∂x) ε over probes ε of random signs, the same at all times of
    one solution. These are fixed by `seed` where a likelihood is asked for, and drawn for each row in training and for
    `flow.log_prob(x, seed=)`, where the log-det is without bias. `has_exact_log_det` says which. The error of fixed
    probes is much the same for all events, and shrinks with the root of their number (docs/continuous_flows.md).

    Where nothing but values is asked for (`forward`, `flow.sample`), no trace is computed.

    Args:
      conditioner: a Keras layer from the event [n, *event], and time features with the condition [n, 7 + ...], to as
        many numbers as the event has. Smooth activations ("tanh", "silu") make an equation that is easily solved.
      event_shape: [d], or [h, w, c] with a conditioner of images.
      solver: one of `tfp_nvp.solvers`; `RungeKutta4(16)` by default.
      max_exact: the largest event whose trace is exact.
      num_probes: of the estimate above, at least 1.
      kinetic, jacobian: weights, at least 0, of ∫ |f|² dt and ∫ |εᵀ ∂f/∂x|² dt per number of the event, which a
        training step of `FlowModel` adds to its loss; they make equations that take fewer steps (Finlay et al. 2020).
      condition_shape: shape of the condition, which is flattened, or None.
      seed: of the probes, an int.
      dtype: of values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> from tfp_nvp.conditioners import MLP
    >>> layer = Continuous(MLP(hidden_units=[8], activation="tanh"), [2])
    >>> layer.inverse(layer.forward([[1.0, -2.0]])).numpy().round(3).tolist()
    [[1.0, -2.0]]

    References: Chen, Rubanova, Bettencourt & Duvenaud (2018), "Neural Ordinary Differential Equations",
    arXiv:1806.07366, theorem 1; Grathwohl et al. (2019), "FFJORD", arXiv:1810.01367, section 3.1; Finlay, Jacobsen,
    Nurbekyan & Oberman (2020), "How to train your neural ODE", arXiv:2002.02798, equations 9 and 10.
    """

    def __init__(
        self,
        conditioner: keras.layers.Layer,
        event_shape: Any,
        *,
        solver: Solver | None = None,
        max_exact: int = 32,
        num_probes: int = 8,
        kinetic: float = 0.0,
        jacobian: float = 0.0,
        condition_shape: Any = None,
        seed: int = 0,
        dtype: Any = "float32",
        name: str = "continuous",
    ):
        event_shape = checks.shape("event_shape", event_shape, min_rank=1)
        super().__init__(event_shape=event_shape, condition_shape=condition_shape, dtype=dtype, name=name)
        self.solver = RungeKutta4() if solver is None else solver
        checks.instance("solver", self.solver, Solver, "tfp_nvp.solvers.RungeKutta4(num_steps=16)")
        self._event, self._size = event_shape, math.prod(event_shape)
        self._seed = checks.integer("seed", seed, 0)
        self._traces_exactly = self._size <= checks.integer("max_exact", max_exact, 0)
        self._probes = self._fixed_probes(checks.integer("num_probes", num_probes, 1))
        self._weights = {
            name: checks.number(name, weight, checks.Interval(0.0))
            for name, weight in {"kinetic": kinetic, "jacobian": jacobian}.items()
        }
        features = 1 + 2 * NUM_FREQUENCIES + math.prod(self.condition_shape or (0,))
        self.conditioner = connect(conditioner, event_shape, (features,), event_shape[-1], self.dtype)

    @property
    def has_exact_log_det(self) -> bool:
        return self._traces_exactly

    @property
    def accuracy(self) -> float:
        """What is asked of the solver, in units of x and in nats; `solver_error` measures what it has."""
        return 1e-3

    def velocity(self, x: tf.Tensor, t: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """f(x, t, c) [n, *event] of x [n, *event], t [n] and c [n, ...]."""
        guidance = _guidance.get()
        if guidance is None or condition is None:
            return self._network(x, t, condition)
        without, given = (self._network(x, t, c) for c in (tf.zeros_like(condition), condition))
        return without + guidance * (given - without)

    def _network(self, x: tf.Tensor, t: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        angles = math.pi * t[:, tf.newaxis] * tf.range(1, NUM_FREQUENCIES + 1, dtype=t.dtype)
        features = [t[:, tf.newaxis], tf.sin(angles), tf.cos(angles)]
        if condition is not None:
            features.append(tf.reshape(condition, [-1, math.prod(self.condition_shape or ())]))
        raw = raw_numbers(
            self.conditioner,
            x,
            tf.concat(features, axis=-1),
            event_ndims=len(self._event),
            condition_ndims=1,
            num_parameters=1,
        )
        return tf.squeeze(raw, axis=0)

    def solver_error(self, x: tf.Tensor, condition: tf.Tensor | None = None, factor: int = 10) -> tuple[float, float]:
        """The largest error over rows x [n, *event] of z, and of the log-det in nats.

        Errors are differences from a solver that is `factor` times as fine.
        """
        x, condition = tf.convert_to_tensor(x, self.dtype), self._check_condition(condition)

        @tf.function  # many steps are slow in eager mode
        def largest(x: tf.Tensor) -> list[tf.Tensor]:
            found = self._solve(x, condition, 1.0, 0.0)
            with solved_finer(factor):
                finer = self._solve(x, condition, 1.0, 0.0)
            return [tf.reduce_max(tf.abs(a - b)) for a, b in zip(found[:2], finer[:2], strict=True)]

        error, error_of_log_det = largest(x)
        return float(error), float(error_of_log_det)

    def num_evaluations(self, x: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        """How often f is evaluated for each of the rows x [n, *event] in the direction of the density, [n]."""
        return self._solve(tf.convert_to_tensor(x, self.dtype), self._check_condition(condition), 1.0, 0.0)[2]

    def _forward_and_log_det(self, z: tf.Tensor, condition: tf.Tensor | None) -> Step:
        return self._solve(z, condition, 0.0, 1.0)[:2]

    def _inverse_and_log_det(self, x: tf.Tensor, condition: tf.Tensor | None) -> Step:
        return self._solve(x, condition, 1.0, 0.0)[:2]

    def _solve(
        self, value: tf.Tensor, condition: tf.Tensor | None, start: float, end: float
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The solution [*batch, *event], its log-det [*batch], and the number of evaluations [*batch]."""
        rank = len(self._event)
        batch = shapes.batch_shape(value, rank)
        if condition is not None:
            batch = shapes.broadcast(batch, shapes.batch_shape(condition, self.condition_ndims))
            condition = shapes.broadcast_batch(condition, batch, self.condition_ndims)
            condition = shapes.flatten_batch(condition, self.condition_ndims)
            value = shapes.broadcast_batch(value, batch, rank)
        rows = shapes.flatten_batch(value, rank)
        seed, with_log_det = seed_for(self._seed), needs_log_det()
        probes = self._drawn_probes(tf.shape(rows), seed)
        weights = self._weights if seed is not None else dict.fromkeys(self._weights, 0.0)

        def dynamics(time: tf.Tensor, x: tf.Tensor, *inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            if not with_log_det:
                return self.velocity(x, time, *inputs), tf.zeros_like(x[:, :0])
            velocity, trace, squared = self._velocity_and_trace(x, time, probes, *inputs)
            kinetic = tf.reduce_sum(velocity**2, axis=list(range(1, rank + 1)))
            return velocity, tf.stack([trace, weights["kinetic"] * kinetic + weights["jacobian"] * squared], axis=-1)

        factor = _refinement.get()
        solver = self.solver if factor == 1 else self.solver.finer(factor)
        solution: Solution = solver.solve(
            dynamics,
            rows,
            start=start,
            end=end,
            inputs=[] if condition is None else [condition],
            variables=[variable.value for variable in self.conditioner.trainable_variables],
        )
        log_det = solution.integrals[:, 0] if with_log_det else tf.cast(0 * solution.num_evaluations, rows.dtype)
        if any(weights.values()) and with_log_det:
            penalize(tf.reduce_mean(tf.abs(solution.integrals[:, 1])) / self._size)
        return (
            shapes.unflatten_batch(solution.x, batch),
            shapes.unflatten_batch(log_det, batch),
            shapes.unflatten_batch(solution.num_evaluations, batch),
        )

    def _velocity_and_trace(
        self, x: tf.Tensor, time: tf.Tensor, probes: tf.Tensor, condition: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """f [n, *event], the trace of its Jacobian [n], and the mean of |εᵀ ∂f/∂x|² over probes [k, n or 1, *event]."""
        k, n, event = probes.shape[0], tf.shape(x)[0], list(self._event)

        def repeated(value: tf.Tensor) -> tf.Tensor:
            return tf.tile(value, [k] + [1] * (value.shape.rank - 1))

        with tf.GradientTape() as tape:
            copies = repeated(x)
            tape.watch(copies)
            velocity = self.velocity(copies, repeated(time), None if condition is None else repeated(condition))
        probes = tf.reshape(tf.broadcast_to(probes, tf.concat([[k, n], event], axis=0)), [-1, *event])
        products = tf.reshape(tape.gradient(velocity, copies, output_gradients=probes), [k, -1, self._size])
        share = 1.0 if self._traces_exactly else 1.0 / k
        trace = share * tf.reduce_sum(products * tf.reshape(probes, [k, -1, self._size]), axis=[0, 2])
        squared = share * tf.reduce_sum(products**2, axis=[0, 2])
        return velocity[:n], tf.ensure_shape(trace, x.shape[:1]), squared

    def _fixed_probes(self, num_probes: int) -> np.ndarray:
        """Probes [k, 1, *event] for all rows: unit vectors where the trace is exact, else random signs."""
        if self._traces_exactly:
            return np.eye(self._size).reshape(self._size, 1, *self._event)
        rng = np.random.default_rng(self._seed)
        return rng.choice([-1.0, 1.0], size=(num_probes, 1, *self._event))

    def _drawn_probes(self, shape: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        """The fixed probes; with a seed, random signs [k, n, *event] for every row."""
        probes = tf.constant(self._probes, self.dtype)
        if seed is None or self._traces_exactly:
            return probes
        size = tf.concat([[self._probes.shape[0]], shape], axis=0)
        signs = tf.random.stateless_uniform(size, seed, 0, 2, tf.int32, alg="philox")
        return tf.cast(2 * signs - 1, self.dtype)
