"""Explicit Runge-Kutta methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._portable import is_portable
from tfp_nvp.solvers.solver import Dynamics, Path, Solver, Step, empty, per_row


class Tableau(NamedTuple):
    """Coefficients: stage i is kᵢ = f(t + cᵢ h, x + h Σⱼ aᵢⱼ kⱼ), the step h Σᵢ bᵢ kᵢ, and cᵢ = Σⱼ aᵢⱼ."""

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]

    def stages(self, dynamics: Dynamics, time: tf.Tensor, size: tf.Tensor, x: tf.Tensor, *inputs: tf.Tensor) -> list:
        """dx/dt and rates of every stage of a step of `size` [n] from `time` [n]."""
        stages: list[tuple[tf.Tensor, tf.Tensor]] = []
        for row in self.a:
            moved = x + per_row(size, x) * _sum(row, [rate for rate, _ in stages]) if stages else x
            stages.append(dynamics(time + float(sum(row)) * size, moved, *inputs))
        return stages

    def step(self, dynamics: Dynamics) -> Step:
        """The step of the method."""

        def step(time: tf.Tensor, size: tf.Tensor, x: tf.Tensor, *inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return _weighted(self.stages(dynamics, time, size, x, *inputs), self.b, size)

        return step


CLASSICAL = Tableau(((), (1 / 2,), (0, 1 / 2), (0, 0, 1)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
#: Dormand & Prince (1980), RK5(4)7M, without the stage that serves the error alone.
DORMAND_PRINCE = Tableau(
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
#: With that stage; `_ERROR` are the weights of the fifth-order result minus those of the fourth-order one.
_PAIR = Tableau((*DORMAND_PRINCE.a, DORMAND_PRINCE.b), (*DORMAND_PRINCE.b, 0))
_ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


class _FixedSteps(Solver):
    """Equal steps of one method."""

    _tableau: ClassVar[Tableau]

    def __init__(self, num_steps: int):
        self.num_steps = checks.integer("num_steps", num_steps, 1)

    @property
    def num_stages(self) -> int:
        return len(self._tableau.a)

    def finer(self, factor: int) -> Solver:
        return type(self)(self.num_steps * factor)

    def _step(self, dynamics: Dynamics) -> Step:
        return self._tableau.step(dynamics)

    def _path(self, dynamics: Dynamics, x: tf.Tensor, inputs: Sequence[tf.Tensor], start: float, end: float) -> Path:
        rows, size = tf.shape(x)[0], (end - start) / self.num_steps
        steps = tf.range(self.num_steps, dtype=x.dtype)
        times = tf.broadcast_to((start + size * steps)[:, tf.newaxis], [self.num_steps, rows])
        sizes = tf.fill([self.num_steps, rows], tf.constant(size, x.dtype))
        step = self._step(dynamics)

        def advance(i: tf.Tensor, x: tf.Tensor, integrals: tf.Tensor, xs: tf.TensorArray) -> tuple:
            change, added = step(times[i], sizes[i], x, *inputs)
            return i + 1, x + change, integrals + added, xs.write(i, x)

        if is_portable():  # a loop of other runtimes has no lists, and no derivatives in it
            path, integrals = [x], no_integrals(dynamics, x, inputs)
            for i in range(self.num_steps):
                change, added = step(times[i], sizes[i], path[-1], *inputs)
                path.append(path[-1] + change)
                integrals += added
            return Path(tf.stack(path), integrals, times, sizes, tf.constant(self.num_steps))

        _, last, integrals, xs = tf.while_loop(
            lambda i, *_: i < self.num_steps,
            advance,
            (tf.constant(0), x, no_integrals(dynamics, x, inputs), empty(self.num_steps + 1, x)),
            maximum_iterations=self.num_steps,
        )
        xs = xs.write(self.num_steps, last).stack()
        return Path(xs, integrals, times, sizes, tf.constant(self.num_steps))


class RungeKutta4(_FixedSteps):
    """The classical method of fourth order, in equal steps of four evaluations each.

    The error shrinks with the fourth power of the number of steps.

    Args:
      num_steps: at least 1.

    >>> RungeKutta4(2).solve(lambda t, x: (x, x), tf.ones([1, 1]), start=0.0, end=1.0).x.numpy().round(3).tolist()
    [[2.717]]

    References: Kutta (1901), "Beitrag zur näherungsweisen Integration totaler Differentialgleichungen".
    """

    _tableau = CLASSICAL

    def __init__(self, num_steps: int = 16):
        super().__init__(num_steps)


class DormandPrince5(_FixedSteps):
    """The method of fifth order of Dormand and Prince, in equal steps of six evaluations each.

    Args:
      num_steps: at least 1.

    References: Dormand & Prince (1980), "A family of embedded Runge-Kutta formulae", J. Comput. Appl. Math. 6(1).
    """

    _tableau = DORMAND_PRINCE

    def __init__(self, num_steps: int = 10):
        super().__init__(num_steps)


class AdaptiveDormandPrince(Solver):
    """The pair of Dormand and Prince, with a step size of its own for each row.

    A step is taken where the difference of the fifth-order and the fourth-order result is within
    atol + rtol · |x|, in the root mean square over x and integrals; the next one is 0.9 · error^(−1/5) times as long,
    within a factor of 5. A row's result does not depend on the rows beside it. Rows that are not at the end after
    `max_steps` steps become NaN. Derivatives are those of the steps that were taken, their sizes held constant.

    Args:
      rtol, atol: positive tolerances of a step. Below some 1e-6 in float32 nothing is gained; far below it, no step is
        ever short enough, and all rows become NaN.
      max_steps: of the whole batch, at least 1.

    References: Dormand & Prince (1980); Hairer, Nørsett & Wanner (1993), "Solving Ordinary Differential Equations I",
    section II.4.
    """

    def __init__(self, rtol: float = 1e-5, atol: float = 1e-5, max_steps: int = 100):
        self.rtol, self.atol = checks.positive("rtol", rtol), checks.positive("atol", atol)
        self.max_steps = checks.integer("max_steps", max_steps, 1)

    def finer(self, factor: int) -> Solver:
        return AdaptiveDormandPrince(self.rtol / factor, self.atol / factor, self.max_steps * factor)

    @property
    def num_stages(self) -> int:
        return len(_PAIR.a)

    def _step(self, dynamics: Dynamics) -> Step:
        return DORMAND_PRINCE.step(dynamics)

    def _path(self, dynamics: Dynamics, x: tf.Tensor, inputs: Sequence[tf.Tensor], start: float, end: float) -> Path:
        sign, length = float(np.sign(end - start)), tf.constant(abs(end - start), x.dtype)

        def is_open(i: tf.Tensor, done: tf.Tensor, *_: Any) -> tf.Tensor:
            return tf.reduce_any(done < length)

        def advance(
            i: tf.Tensor, done: tf.Tensor, size: tf.Tensor, x: tf.Tensor, integrals: tf.Tensor, *arrays: tf.TensorArray
        ) -> tuple:
            size = tf.minimum(size, length - done)
            stages = _PAIR.stages(dynamics, start + sign * done, sign * size, x, *inputs)
            (change, added), errors = (_weighted(stages, of, sign * size) for of in (_PAIR.b, _ERROR))
            error = self._relative_error((x, integrals), (x + change, integrals + added), errors)
            taken = (error <= 1.0) & (done < length)
            growth = tf.clip_by_value(0.9 * tf.maximum(error, 1e-8) ** -0.2, 0.2, 5.0)
            # A step that is not taken has the size 0: it changes nothing when the steps are taken again.
            written = x, start + sign * done, tf.where(taken, sign * size, tf.zeros_like(size))
            return (
                i + 1,
                tf.where(taken, tf.where(size >= length - done, length, done + size), done),
                tf.where(done < length, size * growth, size),
                tf.where(per_row(taken, x), x + change, x),
                tf.where(taken[:, tf.newaxis], integrals + added, integrals),
                *[array.write(i, value) for array, value in zip(arrays, written, strict=True)],
            )

        none = tf.zeros_like(tf.reduce_sum(x, axis=list(range(1, x.shape.rank))))
        arrays = [empty(self.max_steps + extra, like) for extra, like in ((1, x), (0, none), (0, none))]
        state = (tf.constant(0), none, none + 0.05 * length, x, no_integrals(dynamics, x, inputs), *arrays)
        count, done, _, last, integrals, *arrays = tf.while_loop(
            is_open, advance, state, maximum_iterations=self.max_steps
        )
        nan = tf.constant(np.nan, x.dtype)
        last, integrals = (tf.where(per_row(done < length, value), nan, value) for value in (last, integrals))
        xs, times, sizes = arrays
        return Path(xs.write(self.max_steps, last).stack(), integrals, times.stack(), sizes.stack(), count)

    def _relative_error(self, old: tuple, new: tuple, errors: tuple) -> tf.Tensor:
        """The root mean square [n] of all errors over what is allowed."""
        squares = []
        for before, after, error in zip(old, new, errors, strict=True):
            allowed = self.atol + self.rtol * tf.maximum(tf.abs(before), tf.abs(after))
            squares.append(tf.reshape((error / allowed) ** 2, [tf.shape(error)[0], math.prod(error.shape[1:])]))
        error = tf.sqrt(tf.reduce_mean(tf.concat(squares, axis=1), axis=1))
        return tf.where(tf.math.is_finite(error), error, tf.constant(1e10, error.dtype))


def no_integrals(dynamics: Dynamics, x: tf.Tensor, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    """Zeros [n, r], r being the number of rates."""
    zeros = tf.zeros_like(tf.reduce_sum(x, axis=list(range(1, x.shape.rank))))
    return tf.zeros_like(dynamics(zeros, x, *inputs)[1])


def _weighted(stages: list, weights: tuple[float, ...], size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The weighted sums of dx/dt and of rates over stages, times the size [n] of the step."""
    x, integrals = (_sum(weights, [stage[i] for stage in stages]) for i in (0, 1))
    return per_row(size, x) * x, per_row(size, integrals) * integrals


def _sum(weights: tuple[float, ...], values: list[tf.Tensor]) -> tf.Tensor:
    return tf.add_n([float(w) * value for w, value in zip(weights, values, strict=False) if w != 0])
