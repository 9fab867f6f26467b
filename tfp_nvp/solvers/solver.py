"""Solves ordinary differential equations in steps that are taken again, one by one, to differentiate them."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from tfp_nvp._captured import Captured
from tfp_nvp._forward_mode import refuse_forward_mode

#: t [n], x [n, *event] and further inputs [n, ...] → dx/dt [n, *event], and rates [n, r] of numbers to be integrated.
Dynamics: TypeAlias = Callable[..., tuple[tf.Tensor, tf.Tensor]]
#: The change of x and of the integrals in one step, from t [n], its signed size [n], x and the further inputs.
Step: TypeAlias = Callable[..., tuple[tf.Tensor, tf.Tensor]]


class Solution(NamedTuple):
    """Where a solver ended."""

    x: tf.Tensor  # [n, *event]
    integrals: tf.Tensor  # [n, r]
    num_evaluations: tf.Tensor  # [n], how often each row's dynamics were evaluated


class Path(NamedTuple):
    """The steps that were taken from x(start)."""

    x: tf.Tensor  # [s + 1, n, *event], before each step, and at the end
    integrals: tf.Tensor  # [n, r]
    times: tf.Tensor  # [s, n]
    sizes: tf.Tensor  # [s, n], signed
    num_steps: tf.Tensor  # [], at most s


class Solver(Captured, abc.ABC):
    """Solves dx/dt = f(t, x) for rows that do not depend on each other.

    It is made of TensorFlow operations, so it runs in graphs, under XLA and in exports. Derivatives are those of the
    steps that were taken, their sizes held constant: x is kept before each step, and the steps are taken again from
    the last to the first, so memory does not hold what happens within one. A solver holds no weights; two of equal
    arguments are equal.
    """

    @abc.abstractmethod
    def finer(self, factor: int) -> Solver:
        """A solver of this kind, of `factor` times as many steps, or of a tolerance that is so much smaller."""

    @property
    @abc.abstractmethod
    def num_stages(self) -> int:
        """How often f is evaluated in a step."""

    @abc.abstractmethod
    def _step(self, dynamics: Dynamics) -> Step:
        """The step of the method."""

    @abc.abstractmethod
    def _path(self, dynamics: Dynamics, x: tf.Tensor, inputs: Sequence[tf.Tensor], start: float, end: float) -> Path:
        """The steps from `start` to `end`."""

    def solve(
        self,
        dynamics: Dynamics,
        x: tf.Tensor,
        *,
        start: float,
        end: float,
        inputs: Sequence[tf.Tensor] = (),
        variables: Sequence[tf.Variable] = (),
    ) -> Solution:
        """x(end), and integrals of the rates from `start` to `end`.

        Args:
          dynamics: f and the rates, of t [n], x and `inputs`.
          x: [n, *event], x(start).
          start, end: times; `end` may be before `start`.
          inputs: tensors [n, ...] that f depends on, and is differentiated by.
          variables: the same of variables.
        """
        path = self._path(dynamics, x, inputs, start, end)
        kept = tf.nest.map_structure(tf.stop_gradient, path)
        xs, integrals = _differentiable(kept, self._step(dynamics), x, inputs, variables)
        open_rows = tf.cast(kept.sizes != 0.0, tf.int32)
        return Solution(xs[-1], integrals, self.num_stages * tf.reduce_sum(open_rows, axis=0))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Solver) and type(self) is type(other) and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((type(self), *self.parameters.items()))


def _differentiable(
    path: Path, step: Step, x: tf.Tensor, inputs: Sequence[tf.Tensor], variables: Sequence[tf.Variable]
) -> tuple[tf.Tensor, tf.Tensor]:
    """The x and integrals of a path, as functions of x(start), inputs and variables.

    From the last step to the first, a ← ∂(a · x' + u · Δ) / ∂x, where x' is x after the step, Δ what it adds to the
    integrals, and u the derivative by these. The gradient takes its x from the same function, so that it has the right
    derivatives itself.
    """
    count = len(inputs)

    @tf.custom_gradient
    def follow(x: tf.Tensor, *rest: tf.Tensor) -> Any:
        def gradient(by_x: tf.Tensor, by_integrals: tf.Tensor) -> tuple[tf.Tensor, ...]:
            refuse_forward_mode("The solution of a differential equation")
            by_x = tf.convert_to_tensor(by_x)  # of a slice, TensorFlow gives the indices and values alone
            xs, _ = follow(x, *rest)
            inputs = rest[:count]

            def back(i: tf.Tensor, a: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
                here = tf.gather(xs, i)
                with tf.GradientTape() as tape:
                    tape.watch([here, *inputs])
                    change, added = step(tf.gather(path.times, i), tf.gather(path.sizes, i), here, *inputs)
                    total = tf.reduce_sum(a * (here + change)) + tf.reduce_sum(by_integrals * added)
                by_here, *others = tape.gradient(total, [here, *inputs, *variables], unconnected_gradients="zero")
                others = [tf.convert_to_tensor(other) for other in others]
                return (i - 1, by_here + tf.gather(by_x, i), *[s + o for s, o in zip(sums, others, strict=True)])

            zeros = [tf.zeros_like(value) for value in (*inputs, *variables)]
            _, a, *sums = tf.while_loop(
                lambda i, *_: i >= 0,
                back,
                (path.num_steps - 1, by_x[-1], *zeros),
                shape_invariants=(tf.TensorShape([]), x.shape, *[value.shape for value in (*inputs, *variables)]),
                maximum_iterations=path.times.shape[0],
            )
            return (a, *sums)

        return (tf.identity(path.x), tf.identity(path.integrals)), gradient

    return follow(x, *inputs, *[tf.convert_to_tensor(variable) for variable in variables])


def per_row(value: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """[n] with the trailing axes of `like`."""
    return tf.reshape(value, [-1] + [1] * (like.shape.rank - 1))


def empty(size: int, like: tf.Tensor) -> tf.TensorArray:
    """An array of `size` tensors of one shape."""
    return tf.TensorArray(like.dtype, size, element_shape=like.shape, clear_after_read=False)
