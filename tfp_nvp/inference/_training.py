"""Fits a flow to a density by draws of its own, in windows of steps that are compiled once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp._warnings import warn
from tfp_nvp.distributions import Flow
from tfp_nvp.inference._target import Target
from tfp_nvp.inference.objectives import Objective, finite

#: Steps between two looks at the bound.
_WINDOW = 50
#: How often the learning rate is cut, and by what, where the bound no longer improves, before the fit ends.
_CUTS, _CUT = 3, 0.3
#: Share of the steps in which the target is annealed, and in which the learning rate rises.
_ANNEALED, _RISING = 0.5, 0.02


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Numbers of a fit, checked by who makes one.

    Attributes:
      num_steps: most steps.
      sample_size: draws a step.
      learning_rate: the highest, of a cosine.
      clip: largest norm of a step's gradient.
      anneal_from: power of the density at the first step; it rises to 1 in the first half.
      patience: windows of 50 steps without a better bound before the learning rate is cut; None for never.
      jit_compile: whether XLA compiles the steps.
    """

    num_steps: int
    sample_size: int
    learning_rate: float
    clip: float = 5.0
    anneal_from: float = 1.0
    patience: int | None = None
    jit_compile: bool = True

    @property
    def windows(self) -> int:
        return math.ceil(self.num_steps / _WINDOW)

    @property
    def window(self) -> int:
        return math.ceil(self.num_steps / self.windows)

    def rate(self, step: tf.Tensor) -> tf.Tensor:
        """The learning rate's share of the highest: a rise, then a cosine."""
        rise = tf.minimum(1.0, (step + 1.0) / (_RISING * self.num_steps + 1.0))
        return rise * 0.5 * (1.0 + tf.cos(math.pi * tf.minimum(1.0, step / self.num_steps)))

    def power(self, step: tf.Tensor) -> tf.Tensor:
        """The power of the density."""
        return tf.minimum(1.0, self.anneal_from + (1.0 - self.anneal_from) * step / (_ANNEALED * self.num_steps))

    def is_annealed(self, window: int) -> bool:
        """Whether the density has power 1 in all steps of a window."""
        return self.anneal_from >= 1.0 or window * self.window >= _ANNEALED * self.num_steps


@dataclasses.dataclass
class Losses:
    """What a fit has seen.

    Attributes:
      losses: [steps], in nats.
      left_out: the share of draws that were left out since the density or its gradient was not finite.
    """

    losses: np.ndarray
    left_out: float


def train(
    flow: Flow,
    target: Target,
    objective: Objective,
    schedule: Schedule,
    seed: tf.Tensor,
    report: Callable[[int, float], None] = lambda steps, loss: None,
) -> Losses:
    """Trains the flow's weights, and leaves those of the window with the best loss.

    Args:
      flow: over vectors [d], initialized.
      target: of the same vectors.
      objective: of each step.
      schedule: of the training.
      seed: a stateless seed [2].
      report: called after each window with the number of steps and the window's mean loss.

    Raises:
      ValueError: if no draw of a window had a finite density.
    """
    run = _window(flow, target, objective, schedule)
    best, since, cuts, losses, left_out = _Best(flow), 0, 0, [], []
    for window in range(schedule.windows):
        first, own_seed = float(window * schedule.window), tf.random.experimental.stateless_fold_in(seed, window)
        own, used = run(tf.constant(first), tf.constant(_CUT**cuts), own_seed)
        losses.append(own.numpy())
        left_out.append(1.0 - int(used) / (schedule.window * schedule.sample_size))
        if left_out[-1] == 1.0:
            raise ValueError("The target or its gradient is not finite at any draw of the surrogate.")
        report((window + 1) * schedule.window, float(own.numpy().mean()))
        if schedule.is_annealed(window):
            since = 0 if best.offer(own.numpy()) else since + 1
        if schedule.patience is not None and since > schedule.patience:
            since, cuts = 0, cuts + 1
            if cuts > _CUTS:
                break
    best.restore()
    share = float(np.mean(left_out))
    if share > 0.01:
        warn(
            f"{share:.0%} of the draws were left out, since the target or its gradient was not finite there. "
            "The surrogate does not know of them."
        )
    return Losses(np.concatenate(losses), share)


class _Best:
    """The weights of the window with the lowest loss."""

    def __init__(self, flow: Flow):
        self._variables = flow.trainable_variables
        self._loss = math.inf
        self._reference, self._error = math.inf, 0.0
        self._values: list[np.ndarray] | None = None

    def offer(self, losses: np.ndarray) -> bool:
        """Keeps the weights if their window is the best one.

        Returns:
          Whether the loss is lower, by more than standard errors, than when this was last so: many small steps count.
        """
        loss, error = float(losses.mean()), float(losses.std() / math.sqrt(len(losses)))
        if loss < self._loss:
            self._loss, self._values = loss, [variable.numpy() for variable in self._variables]
        is_better = loss < self._reference - math.hypot(error, self._error)
        if is_better:
            self._reference, self._error = loss, error
        return is_better

    def restore(self) -> None:
        for variable, value in zip(self._variables, self._values or (), strict=self._values is not None):
            variable.assign(value)


def _window(flow: Flow, target: Target, objective: Objective, schedule: Schedule) -> Callable[..., Any]:
    """The compiled function of a window of steps: (first step, factor of the rate, seed) → losses, draws used."""
    variables, density = flow.trainable_variables, target.traced([schedule.sample_size, target.size])
    optimizer = keras.optimizers.Adam(schedule.learning_rate, global_clipnorm=schedule.clip)
    optimizer.build(variables)

    def step(number: tf.Tensor, factor: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        power, used = tf.cast(schedule.power(number), target.dtype), []

        def tempered(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            log_prob, slope = density(z)
            used.append(tf.math.count_nonzero(finite(log_prob, slope), dtype=tf.int32))
            return power * log_prob, power * slope

        with tf.GradientTape() as tape:
            loss = objective.loss(flow, tempered, schedule.sample_size, seed)
        gradients = tape.gradient(loss, variables)
        norm = tf.linalg.global_norm([gradient for gradient in gradients if gradient is not None])
        gradients = [
            tf.where(tf.math.is_finite(norm), tf.zeros_like(v) if g is None else g, tf.zeros_like(v))
            for g, v in zip(gradients, variables, strict=True)
        ]
        optimizer.learning_rate.assign(schedule.learning_rate * factor * schedule.rate(number))
        optimizer.apply(gradients, variables)
        return loss, used[0]

    @tf.function(jit_compile=schedule.jit_compile, autograph=False)
    def run(first: tf.Tensor, factor: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def body(i: tf.Tensor, losses: tf.Tensor, used: tf.Tensor) -> tuple[tf.Tensor, ...]:
            own = tf.random.experimental.stateless_fold_in(seed, i)
            loss, count = step(first + tf.cast(i, tf.float32), factor, own)
            return i + 1, tf.tensor_scatter_nd_update(losses, [[i]], [loss]), used + count

        start = (tf.constant(0), tf.zeros([schedule.window], target.dtype), tf.constant(0))
        limit = schedule.window
        _, losses, used = tf.while_loop(lambda i, *_: i < limit, body, start, parallel_iterations=1)
        return losses, used

    return run
