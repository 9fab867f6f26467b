"""The cells of a table as numbers that a graph takes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

#: Stands for an infinite end of a cell: times the inverse of the least scale of a component, it is in float32's range.
FAR = 1e8
#: Larger standardized numbers count as this one, of which the density of a component is still a float32.
_LARGEST = 1e30


class Cells(NamedTuple):
    """Cells of a table [n, d], or of one column [n], each plane an array of that shape.

    Attributes:
      known: 1 where a cell has a value, else 0; all other planes are 0 there.
      value: the number on the standardized real line, or the angle; 0 for a column of atoms alone.
      low, high: ends on that line of the interval that the value stands for, where a column is on a grid; ±`FAR` for
        infinite ones. 0 for other columns.
      width: high − low, which rounding would take from the difference of the two.
      atom: the number of the atom that the value is; the number of atoms if it is none of them.
      log_det: log |d value / d number| in nats, or −log(step) on a grid: what is added to the log-density of `value`.
    """

    known: Any
    value: Any
    low: Any
    high: Any
    width: Any
    atom: Any
    log_det: Any

    @classmethod
    def of(cls, known: np.ndarray, **planes: Any) -> Cells:
        """The cells of one column [n]; planes that are not given are 0, and all are where nothing is known."""
        known = np.asarray(known, bool)
        full = {name: np.where(known, planes.get(name, 0.0), 0.0) for name in cls._fields if name != "known"}
        return cls(known=known.astype(np.float64), **full)

    @classmethod
    def stack(cls, columns: list[Cells]) -> Cells:
        """The cells [n, d] of d columns [n]."""
        return cls(*(np.stack(planes, axis=-1) for planes in zip(*columns, strict=True)))

    def flat(self) -> np.ndarray:
        """All planes side by side, float32 [n, 7 d], finite."""
        return np.clip(np.concatenate(self, axis=-1), -_LARGEST, _LARGEST).astype(np.float32)

    @classmethod
    def from_flat(cls, flat: Any) -> Cells:
        """The planes [n, d] of `flat` [n, 7 d], an array or a tensor."""
        split = tf.split if tf.is_tensor(flat) else np.split
        return cls(*split(flat, len(cls._fields), axis=-1))
