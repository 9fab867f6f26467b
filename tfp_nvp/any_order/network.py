"""The network that gives the conditional of every column for any set of known ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp.any_order.cells import Cells
from tfp_nvp.any_order.circle import CircleSpline
from tfp_nvp.any_order.column import Column
from tfp_nvp.any_order.logistics import Logistics
from tfp_nvp.conditioners import ResidualMLP

#: Standardized numbers beyond this are no further apart for the network.
_FARTHEST = 8.0


class AnyOrderNetwork(keras.layers.Layer):
    """Raw numbers of p(x_j | known cells) for every column j, whatever cells are known.

        features = [for each column: known · (value's features), known]
        raw = ResidualMLP(features),    [n, P]
        log p(x_j | known) = log softmax(logits_j)[atom]  +  log density_j(value)   where a cell is no atom

    Features of a column are its standardized number; the cosine and sine of an angle; one 0 or 1 for each atom.
    Columns of one kind are evaluated together, as one tensor.

    Args:
      columns: fitted, in order.
      hidden_units, num_blocks, dropout, activation, seed: of the `ResidualMLP`.
      num_components: of the mixture of each density on the line.
      num_bins: of the spline of each density on a circle.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        hidden_units: int,
        num_blocks: int,
        dropout: float,
        activation: str,
        num_components: int,
        num_bins: int,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.line, self.circle = Logistics(num_components), CircleSpline(num_bins)
        self._on_line = tuple(j for j, column in enumerate(columns) if column.density == "line")
        self._on_circle = tuple(j for j, column in enumerate(columns) if column.density == "circle")
        self._on_grid = np.array([columns[j].on_grid for j in self._on_line], bool)
        self._atoms = tuple(column.num_atoms for column in columns)
        self._classes = tuple(column.num_atoms + bool(column.density) if column.num_atoms else 0 for column in columns)
        by_size: dict[int, list[int]] = {}
        for j, size in enumerate(self._classes):
            if size:
                by_size.setdefault(size, []).append(j)
        self._by_size = tuple(
            (size, tuple(group)) for size, group in by_size.items()
        )  # Keras tracks no dict of numbers
        self._sizes = (
            self.line.num_parameters * len(self._on_line),
            self.circle.num_parameters * len(self._on_circle),
            *(size * len(group) for size, group in self._by_size),
        )
        self.mlp = ResidualMLP(
            sum(self._sizes),
            hidden_units=hidden_units,
            num_blocks=num_blocks,
            dropout=dropout,
            activation=activation,
            seed=seed,
        )
        self.mlp.build((None, self._num_features))
        self.built = True

    @property
    def num_outputs(self) -> int:
        """P, how many raw numbers there are."""
        return sum(self._sizes)

    @property
    def _num_features(self) -> int:
        return len(self._atoms) + len(self._on_line) + 2 * len(self._on_circle) + sum(self._classes)

    def call(self, cells: Cells, known: tf.Tensor, training: bool = False) -> tf.Tensor:
        """raw [n, P], given the cells of which `known` [n, d] is 1."""
        features = [known]
        if self._on_line:
            value, mask = tf.gather(cells.value, self._on_line, axis=1), tf.gather(known, self._on_line, axis=1)
            features.append(mask * tf.clip_by_value(value, -_FARTHEST, _FARTHEST))
        if self._on_circle:
            angle, mask = tf.gather(cells.value, self._on_circle, axis=1), tf.gather(known, self._on_circle, axis=1)
            features += [mask * tf.cos(angle), mask * tf.sin(angle)]
        for size, group in self._by_size:
            atom, mask = tf.gather(cells.atom, group, axis=1), tf.gather(known, group, axis=1)
            one_hot = tf.one_hot(tf.cast(atom, tf.int32), size) * mask[..., tf.newaxis]
            features.append(tf.reshape(one_hot, [-1, size * len(group)]))
        return self.mlp(tf.concat(features, axis=1))

    def log_prob(self, cells: Cells, raw: tf.Tensor) -> tf.Tensor:
        """log p(x_j | what raw was given) of every cell [n, d], in nats of the data's units; 0 for missing cells."""
        line, circle, *logits = tf.split(raw, self._sizes, axis=1)
        zero = tf.zeros_like(cells.known[:, :1])
        densities, classes = [zero], [zero]
        if self._on_line:
            densities.append(self._line_log_prob(cells, self._planes(line, self.line.num_parameters)))
        if self._on_circle:
            angles = tf.gather(cells.value, self._on_circle, axis=1)
            densities.append(self.circle.log_prob(angles, self._planes(circle, self.circle.num_parameters)))
        atoms = [zero]
        for (size, group), numbers in zip(self._by_size, logits, strict=True):
            log_p = tf.nn.log_softmax(tf.reshape(numbers, [-1, size, len(group)]), axis=1)
            atom = tf.cast(tf.gather(cells.atom, group, axis=1), tf.int32)
            classes.append(tf.reduce_sum(tf.one_hot(atom, size, axis=1) * log_p, axis=1))
            atoms.append(log_p[:, -1, :])
        density = self._in_place(densities, [*self._on_line, *self._on_circle])
        in_order = [j for _, group in self._by_size for j in group]
        log_class, log_other = self._in_place(classes, in_order), self._in_place(atoms, in_order)
        return cells.known * (self._joined(cells, density, log_class, log_other) + cells.log_det)

    def _line_log_prob(self, cells: Cells, raw: tf.Tensor) -> tf.Tensor:
        """log densities, and log masses of columns on a grid, [n, m]."""
        value, low, high, width = (tf.gather(plane, self._on_line, axis=1) for plane in cells[1:5])
        if not self._on_grid.any():
            return self.line.log_prob(value, raw)
        if self._on_grid.all():
            return self.line.log_mass(low, high, width, raw)
        points, grid = np.flatnonzero(~self._on_grid), np.flatnonzero(self._on_grid)
        density = self.line.log_prob(tf.gather(value, points, axis=1), tf.gather(raw, points, axis=-1))
        low, high, width = (tf.gather(plane, grid, axis=1) for plane in (low, high, width))
        mass = self.line.log_mass(low, high, width, tf.gather(raw, grid, axis=-1))
        in_place = np.argsort(np.concatenate([points, grid]))
        return tf.gather(tf.concat([density, mass], axis=1), in_place, axis=1)

    def _joined(self, cells: Cells, density: tf.Tensor, log_class: tf.Tensor, log_other: tf.Tensor) -> tf.Tensor:
        """log p of each cell from its density or mass, its atom's log-probability, and that of no atom.

        On a grid an atom's interval has mass of the density too, so the two are added.
        """
        has_density = np.zeros(len(self._atoms), bool)
        has_density[[*self._on_line, *self._on_circle]] = True
        grid = np.zeros(len(self._atoms), bool)
        grid[list(self._on_line)] = self._on_grid
        is_atom = cells.atom < np.array(self._atoms, np.float32)
        other = log_other + density
        at_atom = tf.where(grid & is_atom, _log_add(log_class, other), log_class)
        return tf.where(has_density & ~is_atom, other, at_atom)

    def _in_place(self, parts: list[tf.Tensor], columns: list[int]) -> tf.Tensor:
        """Parts [n, m] of these columns, after a column of zeros, as [n, d]; 0 in the other columns."""
        places = np.zeros(len(self._atoms), np.int32)
        places[columns] = 1 + np.arange(len(columns))
        return tf.gather(tf.concat(parts, axis=1), places, axis=1)

    def of_column(self, raw: tf.Tensor, j: int) -> tuple[tf.Tensor | None, tf.Tensor | None]:
        """The logits [n, k] of the atoms (and of none) of column j, and raw numbers [p, n] of its density; or None."""
        line, circle, *logits = tf.split(raw, self._sizes, axis=1)
        found_logits = density = None
        for (size, group), numbers in zip(self._by_size, logits, strict=True):
            if j in group:
                found_logits = tf.reshape(numbers, [-1, size, len(group)])[:, :, group.index(j)]
        for part, p, group in (
            (line, self.line.num_parameters, self._on_line),
            (circle, self.circle.num_parameters, self._on_circle),
        ):
            if j in group:
                density = self._planes(part, p)[..., group.index(j)]
        return found_logits, density

    @staticmethod
    def _planes(numbers: tf.Tensor, p: int) -> tf.Tensor:
        """Raw numbers [n, p m] as [p, n, m]."""
        n, total = tf.shape(numbers)[0], numbers.shape[1]
        return tf.transpose(tf.reshape(numbers, [n, p, total // p]), [1, 0, 2])


def _log_add(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """log(exp a + exp b), with finite gradients."""
    return tf.maximum(a, b) + tf.math.softplus(-tf.abs(a - b))
