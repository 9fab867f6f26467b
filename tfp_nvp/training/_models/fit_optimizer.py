"""The optimizer of `nvp.fit`, whose schedule starts anew when a fitted model is fitted further."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp._warnings import warn

#: A schedule is spent when its rate has fallen below this fraction of its highest.
SPENT = 0.02
#: Of a short fit, the weights are averaged over this fraction of the steps.
AVERAGED = 0.1


@keras.saving.register_keras_serializable("tfp_nvp")
class FitOptimizer(keras.optimizers.AdamW):
    """AdamW with a warm-up and cosine schedule, and a decay of kernels alone.

    A step is Keras' own in fewer operations: a small fit spends most of its time on the tracing and compiling of them.
    What is the same for all weights is computed once, and each weight is updated by one operation.

    Args: those of `keras.optimizers.AdamW` but `amsgrad`; `learning_rate` is of `cosine_schedule`.
    """

    def build(self, variables: Any) -> None:
        if self.amsgrad:
            raise ValueError("`amsgrad` must be False for a FitOptimizer; use keras.optimizers.AdamW.")
        if not self.built:
            self.exclude_from_weight_decay(var_list=[v for v in variables if v.name != "kernel"])
        super().build(variables)

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Nothing: `update_step` does it."""

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        step = tf.cast(self.iterations + 1, learning_rate.dtype)
        corrected = learning_rate * tf.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        rates = _Rates(corrected, learning_rate * (self.weight_decay or 0.0))
        super()._backend_update_step(grads, trainable_variables, rates)

    def update_step(self, gradient: Any, variable: tf.Variable, learning_rate: _Rates) -> None:
        """Updates a weight and its moments (Kingma & Ba 2015, the efficient form of algorithm 1)."""
        index, dtype = self._get_variable_index(variable), variable.dtype
        corrected, decay = (tf.cast(rate, dtype) for rate in learning_rate)
        if self._use_weight_decay(variable):
            variable.assign_sub(decay * variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.zeros([], dtype),  # with powers of 0 the operation leaves the rate as it is
            beta2_power=tf.zeros([], dtype),
            lr=corrected,
            beta1=tf.constant(self.beta_1, dtype),
            beta2=tf.constant(self.beta_2, dtype),
            epsilon=tf.constant(self.epsilon, dtype),
            grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
        )

    def _update_model_variables_moving_average(self, trainable_variables: Sequence[Any]) -> None:
        weight = tf.where(self.iterations.value > 0, 1.0 - self.ema_momentum, 1.0)
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            if average is not None:
                change = tf.cast(weight, average.dtype) * (variable.value - average.value)
                average.assign(average.value + change)

    def restart(self, steps: int | None) -> None:
        """Forgets all steps taken, and schedules the next ones, with the same highest rate.

        Args:
          steps: how many there will be; None for as many as before.
        """
        schedule = self._learning_rate
        steps = steps or schedule.warmup_steps + schedule.decay_steps
        self.learning_rate = cosine_schedule(schedule.warmup_target, steps)
        if self.use_ema:
            self.ema_momentum: float = min(self.ema_momentum, max(0.0, 1.0 - 1.0 / (AVERAGED * steps)))
        for variable in self.variables:  # moments, averages and the number of steps, which all start at 0
            variable.assign(keras.ops.zeros_like(variable))


class _Rates(NamedTuple):
    """The learning rates [] of one step."""

    #: With the correction of the moments' bias.
    corrected: tf.Tensor
    #: Times the decay of kernels.
    decay: tf.Tensor


def cosine_schedule(highest: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """From 0 up to the `highest` rate in a tenth of the steps, at most 200, then down to a hundredth of it."""
    warmup = min(200, steps // 10 + 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), alpha=0.01, warmup_target=highest, warmup_steps=warmup
    )


def start_schedule(model: keras.Model, steps: int | None) -> None:
    """Before a model is fitted further: restarts the schedule of a `FitOptimizer`, and warns of another that is spent.

    Args:
      model: a compiled model.
      steps: how many steps are to come; None if that is not known.
    """
    optimizer = model.optimizer
    taken = int(tf.convert_to_tensor(optimizer.iterations))
    if not taken:
        return
    if isinstance(optimizer, FitOptimizer):
        optimizer.restart(steps)
        model.train_function = None  # its graph holds the old schedule
        return
    schedule = getattr(optimizer, "_learning_rate", None)
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return
    past = max(float(schedule(tf.constant(step))) for step in np.linspace(0, taken, 33).astype(int))
    to_come = max(float(schedule(tf.constant(taken + step))) for step in (0, steps or 0))
    if to_come < SPENT * past:
        warn(
            f"The learning-rate schedule is spent: after {taken} steps the rate is {to_come:.2g}, and was up to "
            f"{past:.2g}; the model will hardly learn. Call `compile` with a new optimizer first."
        )


def steps_to_come(x: Any, batch_size: int | None, arguments: dict[str, Any]) -> int | None:
    """The number of steps of a call of Keras' `fit` with these `arguments`; None if that is not known."""
    epochs = arguments.get("epochs", 1) - arguments.get("initial_epoch", 0)
    steps = arguments.get("steps_per_epoch")
    if steps is None and isinstance(x, tf.data.Dataset):
        steps = max(0, int(x.cardinality())) or None
    elif steps is None and isinstance(x, keras.utils.PyDataset):
        steps = x.num_batches
    elif steps is None:
        arrays = tf.nest.flatten(x)
        if all(hasattr(array, "shape") for array in arrays):
            rows = len(arrays[0]) * (1.0 - (arguments.get("validation_split") or 0.0))
            steps = math.ceil(rows / (batch_size or 32))
    return None if steps is None else max(1, steps * epochs)
