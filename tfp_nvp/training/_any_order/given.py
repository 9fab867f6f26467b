"""The distribution of some columns of a table given others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.training._any_order.evaluator import Evaluator


class ColumnsGiven(tfp.distributions.Distribution):
    """p(k columns of numbers | values of others), of vectors [k] in the data's units, float64.

    In eager mode, without derivatives: the maps of the columns are not part of a graph. On a grid, values have
    densities as `any_order.Real` defines them; of whole numbers, those are probabilities.

    Args:
      evaluator: of the model.
      row: its d columns: the values given, NaN in all others.
      columns: the numbers of the k columns.
    """

    def __init__(self, evaluator: Evaluator, row: np.ndarray, columns: Sequence[int], name: str = "columns_given"):
        self._evaluator, self._row, self._columns = evaluator, np.array(row), tuple(columns)
        super().__init__(
            dtype=tf.float64,
            reparameterization_type=tfp.distributions.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters={"evaluator": evaluator, "row": row, "columns": columns, "name": name},
            name=name,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the elements of a vector."""
        return tuple(self._evaluator.schema.names[j] for j in self._columns)

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([len(self._columns)])

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict:
        return {}

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        values = np.asarray(x, np.float64)
        rows = np.tile(self._row, [int(np.prod(values.shape[:-1])), 1])
        rows[:, self._columns] = values.reshape(-1, len(self._columns))
        known = np.flatnonzero(~np.isnan(self._row))
        result = self._evaluator.log_prob(rows, known.tolist(), self._columns)
        return tf.constant(result.reshape(values.shape[:-1]))

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seed = tfp.random.sanitize_seed(seed, salt="columns_given")
        number = int(tf.random.stateless_uniform([], seed, maxval=2**30, dtype=tf.int32))
        rows = np.tile(self._row, [int(n), 1])
        return tf.constant(self._evaluator.completed(rows, self._columns, number)[:, self._columns])
