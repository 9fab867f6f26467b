"""Skips training steps that are not finite, stops training, and names the cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfp_nvp._warnings import warn
from tfp_nvp._watch import Step
from tfp_nvp.training._models import replicas


class NonFiniteGuard:
    """Applies a step's gradients only if loss and gradients are finite, else records the first place that was not.

    Attributes:
      first: a variable, the number of that place; −1 for none.
      places: what the numbers that are checked are called, after a step was traced.
    """

    def __init__(self) -> None:
        self.first = tf.Variable(
            -1, dtype=tf.int32, trainable=False, name="first_non_finite", aggregation=replicas.SAME_EVERYWHERE
        )
        self.places: list[str] = []

    def reset(self) -> None:
        """Forgets an earlier failure."""
        self.first.assign(-1)

    def failure(self) -> str | None:
        """Names the first place of the first failed step that was not finite; None if all steps were."""
        index = int(tf.convert_to_tensor(self.first))
        return None if index < 0 else self.places[index]

    def apply(
        self,
        optimizer: keras.optimizers.Optimizer,
        gradients: Sequence[tf.Tensor | None],
        variables: Sequence[keras.Variable],
        inputs: Any,
        weights: tf.Tensor | None,
        steps: Sequence[Step],
        loss: tf.Tensor,
    ) -> None:
        """Applies one step, if it is finite and of some rows. `steps` are the values and log-dets of the layers."""
        pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
        parts: list[tuple[str, list[Any]]] = [("the data", tf.nest.flatten(inputs))]
        if weights is not None:
            parts.append(("the sample weights, of which a negative one counts as NaN", [weights]))
        for number, step in enumerate(steps, 1):
            name = f"layer {number} of {len(steps)} on the way from the data, `{step.bijector.name}`"
            parts.append((name, [step.value, step.log_det]))
        of_gradients = [_all_finite([gradient]) for gradient, _ in pairs]
        of_loss = _all_finite([loss])
        self.places = [name for name, _ in parts]
        self.places += [f"the gradient of `{variable.path}`" for _, variable in pairs] + ["the loss"]

        scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)  # expects infinite gradients now and then
        tests = [of_loss] if scaling else [of_loss, *of_gradients]
        alike = _of_one_dtype(pairs)
        has_rows = replicas.total(tf.shape(tf.nest.flatten(inputs)[0])[0]) > 0
        is_finite = replicas.total(tf.cast(~tf.reduce_all(tests), tf.int32)) == 0

        def note() -> None:
            flags = [*(_all_finite(tensors) for _, tensors in parts), *of_gradients]
            counts = replicas.total(tf.cast(~tf.stack(flags), tf.int32))
            failed = tf.concat([counts > 0, [True]], 0)  # the loss is the last place
            place = tf.cast(tf.argmax(tf.cast(failed, tf.int32)), tf.int32)
            is_first = ~is_finite & has_rows & (self.first < 0)
            self.first.assign(tf.where(is_first, place, self.first))

        def apply(gradients: Sequence[Any]) -> None:
            optimizer.apply_gradients([(g, variable) for g, (_, variable) in zip(gradients, alike, strict=True)])

        replicas.apply_if(
            is_finite & has_rows,
            apply,
            [gradient for gradient, _ in alike],
            changed=lambda: [variable.value for variable in (*variables, *optimizer.variables)],
            otherwise=note,
        )


class StopOnNonFinite(keras.callbacks.Callback):
    """Stops training at the first step that is not finite; a warning names the first place that was not."""

    def __init__(self, guard: NonFiniteGuard):
        super().__init__()
        self._guard = guard

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        place = self._guard.failure()
        if place is not None and not self.model.stop_training:
            self.model.stop_training = True
            warn(
                f"Training stopped at step {batch + 1} of the epoch: the loss is not finite. First not finite: "
                f"{place}. The weights are those of the last finite step. "
                "Try a lower learning rate, `clipnorm` in the optimizer, or rescaled data.",
                RuntimeWarning,
            )


def _of_one_dtype(pairs: list[tuple[tf.Tensor, Any]]) -> list[tuple[tf.Tensor, Any]]:
    """Casts gradients of mixed dtypes to the widest: Keras clips by a norm over all of them."""
    widest = max((g.dtype for g, _ in pairs), key=lambda dtype: dtype.size, default=tf.float32)
    return [(g if g.dtype == widest else tf.cast(g, widest), v) for g, v in pairs]


def _all_finite(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    flags = [tf.reduce_all(tf.math.is_finite(t)) for t in map(_dense, tensors) if t.dtype.is_floating]
    if not flags:
        return tf.constant(True)
    return flags[0] if len(flags) == 1 else tf.reduce_all(flags)


def _dense(value: Any) -> tf.Tensor:
    return value.values if isinstance(value, tf.IndexedSlices) else tf.convert_to_tensor(value)
