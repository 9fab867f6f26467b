"""The graphs by which a table's model is asked, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfp_nvp.any_order.cells import Cells
from tfp_nvp.any_order.conditional import Conditional
from tfp_nvp.any_order.network import AnyOrderNetwork
from tfp_nvp.any_order.schema import Schema

#: Numbers in the network's output that are computed at once: 16 MB in float32.
_AT_ONCE = 2**22


class Evaluator:
    """log p(cell | known cells) and conditionals of a network, for numbers as a schema has them.

    Args:
      schema: fitted.
      network: of its columns.
    """

    def __init__(self, schema: Schema, network: AnyOrderNetwork):
        self.schema, self.network = schema, network
        d = len(schema)
        rows = tf.TensorSpec([None, len(Cells._fields) * d], tf.float32)
        mask = tf.TensorSpec([None, d], tf.float32)

        @tf.function(input_signature=[rows, mask])
        def raw(flat: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
            return network(Cells.from_flat(flat), known)

        @tf.function(input_signature=[rows, tf.TensorSpec([None, None, d], tf.float32), tf.TensorSpec([None, d])])
        def asked(flat: tf.Tensor, known: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
            steps, n = tf.shape(known)[0], tf.shape(known)[1]
            cells = Cells.from_flat(tf.tile(flat, [steps, 1]))
            known = tf.reshape(known, [-1, d])
            log_prob = network.log_prob(cells, network(cells, known))
            return tf.einsum("snd,sd->sn", tf.reshape(log_prob, [steps, n, d]), wanted)

        self._raw, self._asked = raw, asked

    def log_prob(self, numbers: np.ndarray, given: Sequence[int], order: Sequence[int]) -> np.ndarray:
        """log p(cells of the columns of `order` | cells of the columns `given`) [n], in nats.

        Cells that are missing, in `order` or `given`, are left out of the order, and so marginalized.

        Args:
          numbers: [n, d], NaN where missing.
          given, order: numbers of different columns.
        """
        known = np.zeros([len(order), len(self.schema)], np.float32)
        known[:, list(given)] = 1.0
        for step in range(len(order)):
            known[step + 1 :, order[step]] = 1.0
        return self.cell_log_probs(numbers, known, order).sum(axis=0)

    def cell_log_probs(self, numbers: np.ndarray, known: np.ndarray, columns: Sequence[int]) -> np.ndarray:
        """log p(cell of column s | cells of the columns that are 1 in known[s]), [steps, n]; 0 of missing cells.

        Args:
          numbers: [n, d], NaN where missing.
          known: [steps, d] of 0 and 1.
          columns: the number of a column for each step.
        """
        wanted = np.zeros_like(known)
        wanted[np.arange(len(columns)), list(columns)] = 1.0
        results = [np.zeros([len(columns), 0])]
        at_once = max(1, _AT_ONCE // (self.network.num_outputs * max(1, len(columns))))
        for start in range(0, len(numbers), at_once):
            cells = self.schema.encode(numbers[start : start + at_once])
            masks = known[:, np.newaxis] * cells.known.astype(np.float32)
            results.append(self._asked(cells.flat(), masks, wanted).numpy().astype(np.float64))
        return np.concatenate(results, axis=1)

    def conditional(self, numbers: np.ndarray, known: np.ndarray, column: int) -> Conditional:
        """The conditional of one column for rows [n, d], of which the cells `known` [n, d] are known."""
        cells = self.schema.encode(np.where(known, numbers, np.nan))
        logits, raw = self.network.of_column(self._raw(cells.flat(), cells.known.astype(np.float32)), column)
        kind = self.schema.columns[column].density
        density = self.network.line if kind == "line" else self.network.circle if kind else None
        return Conditional(self.schema.columns[column], logits, raw, density)

    def completed(self, numbers: np.ndarray, order: Sequence[int], seed: int) -> np.ndarray:
        """Rows [n, d] whose missing cells in the columns of `order` are drawn, one column after the other.

        Each is drawn given all cells that are known by then.
        """
        at_once, parts = max(1, _AT_ONCE // self.network.num_outputs), []
        for chunk, start in enumerate(range(0, len(numbers), at_once)):
            rows = numbers[start : start + at_once].copy()
            for step, column in enumerate(order):
                gaps = np.isnan(rows[:, column])
                if gaps.any():
                    some = rows[gaps]
                    conditional = self.conditional(some, ~np.isnan(some), column)
                    rows[gaps, column] = conditional.sample(tf.constant([seed, (chunk << 10) + step]))
            parts.append(rows)
        return np.concatenate(parts) if parts else numbers

    def in_chunks(self, rows: int, copies: int = 1) -> list[slice]:
        """Slices of so many rows whose conditionals, `copies` of each, are computed at once."""
        at_once = max(1, _AT_ONCE // (self.network.num_outputs * copies))
        return [slice(start, start + at_once) for start in range(0, rows, at_once)]
