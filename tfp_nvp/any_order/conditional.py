"""The distribution of one cell, given others."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfp_nvp.any_order.category import Category
from tfp_nvp.any_order.circle import CircleSpline
from tfp_nvp.any_order.column import Column
from tfp_nvp.any_order.logistics import Logistics

#: How many quantiles the mean of a component is the mean of.
_QUANTILES = 32


class Conditional:
    """p(x | known cells) of one column, for n rows: draws, distribution function, quantiles, mean and mode.

    Args:
      column: of the cells.
      logits: [n, k] of its atoms, and of none of them where it has a density; None without atoms.
      raw: [p, n] of its density; None for atoms alone.
      density: what the raw numbers are of; None for atoms alone.
    """

    def __init__(
        self,
        column: Column,
        logits: tf.Tensor | None,
        raw: tf.Tensor | None,
        density: Logistics | CircleSpline | None,
    ):
        self.column, self._raw, self._density = column, raw, density
        self._p = None if logits is None else tf.nn.softmax(tf.cast(logits, tf.float64), axis=-1).numpy()

    def sample(self, seed: tf.Tensor) -> np.ndarray:
        """Numbers [n], one for each row; `seed` is two integers."""
        n = len(self._p) if self._p is not None else int(tf.shape(self._raw)[1])
        atom = np.zeros(n)
        if self._p is not None:
            u = tf.random.stateless_uniform([n, 1], seed, dtype=tf.float64).numpy()
            atom = (u >= np.cumsum(self._p, axis=1)[:, :-1]).sum(axis=1).astype(float)
        value = np.zeros(n)
        if self._density is not None:
            value = self._density.sample(self._raw, tf.convert_to_tensor(seed) + tf.constant([0, 1 << 20])).numpy()
        return self.column.decode(value, atom)

    def probabilities(self) -> np.ndarray:
        """Of all categories, [n, k]."""
        assert self._p is not None
        return self._p

    def mode(self) -> np.ndarray:
        """The code [n] of the most probable category."""
        return self.probabilities().argmax(axis=1).astype(float)

    def mean(self) -> np.ndarray:
        """The mean [n] in the data's units, of quantiles of each component; on a circle the direction of the mean."""
        assert self._density is not None
        value, weight = (np.asarray(part, np.float64) for part in self._density.nodes(self._raw, _QUANTILES))
        atom = np.full(self._rows, float(self.column.num_atoms))
        if isinstance(self._density, CircleSpline):
            return self.column.decode(np.angle((weight * np.exp(1j * value)).sum(axis=0)), atom)
        mean = (weight * np.stack([self.column.decode(each, atom) for each in value])).sum(axis=0)
        if self._p is None:
            return mean
        return self._p[:, :-1] @ np.asarray(self.column.atoms) + self._p[:, -1] * mean  # type: ignore[attr-defined]

    def cdf(self, numbers: np.ndarray) -> np.ndarray:
        """P(X ≤ x) [n] for numbers x [n]."""
        if isinstance(self.column, Category):
            codes = np.arange(self.column.num_atoms)
            return (self.probabilities() * (codes <= numbers[:, np.newaxis])).sum(axis=1)
        cells = self.column.encode(numbers)
        end = cells.high if self.column.on_grid else cells.value
        continuous = self._continuous_cdf(end)
        if self._p is None:
            return continuous
        atoms = np.asarray(self.column.atoms)  # type: ignore[attr-defined]
        below = (self._p[:, :-1] * (atoms <= numbers[:, np.newaxis])).sum(axis=1)
        return below + self._p[:, -1] * continuous

    def quantile(self, level: np.ndarray) -> np.ndarray:
        """The least x [n] of P(X ≤ x) ≥ level [n]."""
        if self._p is None:
            return self.column.decode(self._continuous_quantile(level), np.zeros(self._rows))
        if isinstance(self.column, Category):
            return (level[:, np.newaxis] > np.cumsum(self._p, axis=1)[:, :-1]).sum(axis=1).astype(float)
        atoms = np.asarray(self.column.atoms)  # type: ignore[attr-defined]
        before = np.zeros(self._rows)  # the probability of atoms that are passed
        atom = np.full(self._rows, float(len(atoms)))
        for i, number in enumerate(atoms):
            cells = self.column.encode(np.full(self._rows, number))
            on_grid = self.column.on_grid
            low, high = (cells.low, cells.high) if on_grid else (cells.value, cells.value)
            passed = before + self._p[:, -1] * self._continuous_cdf(low)
            reached = before + self._p[:, i] + self._p[:, -1] * self._continuous_cdf(high)
            atom = np.where((passed < level) & (level <= reached), i, atom)
            before += np.where(reached < level, self._p[:, i], 0.0)
        share = np.clip((level - before) / np.maximum(self._p[:, -1], 1e-12), 1e-7, 1.0 - 1e-7)
        return self.column.decode(self._continuous_quantile(share), atom)

    @property
    def _rows(self) -> int:
        return len(self._p) if self._p is not None else int(self._raw.shape[1])  # type: ignore[union-attr]

    def _continuous_cdf(self, value: np.ndarray) -> np.ndarray:
        assert self._density is not None
        return self._density.cdf(tf.cast(value, tf.float32), self._raw).numpy().astype(np.float64)

    def _continuous_quantile(self, level: np.ndarray) -> np.ndarray:
        assert self._density is not None
        level = tf.clip_by_value(tf.cast(level, tf.float32), 1e-7, 1.0 - 1e-6)
        return self._density.quantile(level, self._raw).numpy()
