"""A training step on several devices: what the replicas of `tf.distribute` have to agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

#: Of variables that every replica assigns the same value.
SAME_EVERYWHERE = tf.VariableAggregation.ONLY_FIRST_REPLICA


def check_strategy(strategy: tf.distribute.Strategy) -> None:
    """Refuses strategies under which a step is not one computation of all replicas."""
    if isinstance(strategy, tf.distribute.ParameterServerStrategy):
        raise ValueError(
            "The model must be made under a strategy that trains in step, not a ParameterServerStrategy: use "
            "tf.distribute.MirroredStrategy or MultiWorkerMirroredStrategy."
        )


def num_replicas() -> int:
    """The number of replicas that share each batch."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def total(value: tf.Tensor) -> tf.Tensor:
    """The sum of a tensor over all replicas."""
    if num_replicas() == 1:
        return value
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)


def share_of_rows(rows: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """The fraction of a batch's rows that this replica has. Means times it add up to the mean over the batch."""
    if num_replicas() == 1:
        return tf.ones([], dtype)
    return tf.cast(rows, dtype) / tf.maximum(tf.cast(total(rows), dtype), 1)


def own_seed(seed: tf.Tensor) -> tf.Tensor:
    """A stateless seed int64 [2] of this replica, so that replicas draw different numbers; `seed` for the first."""
    if num_replicas() == 1:
        return seed
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return seed + tf.stack([tf.constant(0, tf.int64), 2**32 * tf.cast(replica, tf.int64)])


def reducible(logs: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a replica in the form whose mean Keras takes: with several machines, along a first dimension."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return logs
    return {name: tf.reshape(value, [-1]) for name, value in logs.items()}


def apply_if(
    applies: tf.Tensor,
    apply: Callable[[Sequence[Any]], None],
    gradients: Sequence[Any],
    *,
    changed: Callable[[], Sequence[tf.Variable]],
    otherwise: Callable[[], None],
) -> None:
    """Applies gradients where `applies`, the same on all replicas; else leaves weights and optimizer as they are.

    Under a strategy an optimizer can't be called inside `tf.cond`, because it merges the replicas. There it applies
    zeros instead, and what it has changed is put back.

    Args:
      applies: bool [].
      apply: applies gradients to the weights.
      gradients: one for each weight.
      changed: returns the variables that `apply` changes.
      otherwise: called where nothing applies, under a strategy always.
    """
    if not tf.distribute.has_strategy():
        tf.cond(applies, lambda: apply(gradients), otherwise)
        return
    otherwise()
    variables = changed()
    before = [tf.identity(variable) for variable in variables]
    apply([_where(applies, gradient) for gradient in gradients])

    def put_back(strategy: tf.distribute.Strategy, applies: Any, before: Sequence[Any]) -> None:
        for variable, value in zip(variables, before, strict=True):
            strategy.extended.update(
                variable,
                lambda variable, applies, value: variable.assign(tf.where(applies, variable, value)),
                args=(applies, value),
                group=False,
            )

    tf.distribute.get_replica_context().merge_call(put_back, args=(applies, before))


def _where(applies: tf.Tensor, gradient: Any) -> Any:
    """The gradient, or zeros."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(_where(applies, gradient.values), gradient.indices, gradient.dense_shape)
    return tf.where(applies, gradient, tf.zeros_like(gradient))
