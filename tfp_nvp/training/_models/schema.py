"""What a model of a table knows about the table's columns."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._circle import wrapped_columns

#: Fields with a value for each column of x.
_BY_COLUMN = ("low", "high", "step", "origin", "edge_low", "edge_high", "periodic")


@dataclasses.dataclass(frozen=True)
class Schema:
    """Names, bounds and grids of the columns of a table; `fit` fills it, and a model's files keep it.

    Args:
      columns: names of the d columns of x; None if they have none.
      condition_columns: names of the k columns of the condition; None if they have none or there is no condition.
      low, high: the bounds of each column of x, None where there is no bound; or the ends of its period.
      step: the distance of neighbouring values of a grid column, in its units; 0 for a continuous column.
      origin: a value of the grid; 0 for a continuous column.
      edge_low, edge_high: the distance from a bound within which values are not told apart, 0 for none: some values
        lie on the bound, where a density has no value.
      periodic: whether the low and the high of a column are one point; () if none are.

    Raises:
      ValueError: if these contradict each other, as those of a broken file may.
    """

    columns: tuple[str, ...] | None = None
    condition_columns: tuple[str, ...] | None = None
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    step: tuple[float, ...] = ()
    origin: tuple[float, ...] = ()
    edge_low: tuple[float, ...] = ()
    edge_high: tuple[float, ...] = ()
    periodic: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        for name in ("columns", "condition_columns"):
            names = getattr(self, name)
            if names is not None and not all(isinstance(each, str) for each in names):
                raise ValueError(f"`{name}` must be names; got {checks.shown(names)}.")
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ValueError(f"`columns` must be different names; got {checks.shown(self.columns)}.")
        for name in ("low", "high"):
            _check_numbers(name, [0.0 if value is None else value for value in getattr(self, name)], -math.inf)
        for name, least in (("step", 0.0), ("origin", -math.inf), ("edge_low", 0.0), ("edge_high", 0.0)):
            _check_numbers(name, getattr(self, name), least)
        sizes = {len(values) for values in (self.columns, *(getattr(self, name) for name in _BY_COLUMN)) if values}
        if len(sizes) > 1 or len(self.low) != len(self.high):
            raise ValueError(f"A schema must say the same of each column; it tells of {sorted(sizes)} columns.")
        ends = [ends for ends in zip(self.low, self.high, strict=True) if None not in ends]
        if not all(low < high for low, high in ends):  # type: ignore[operator]
            raise ValueError(f"`low` must be below `high` in every column; got {self.low} and {self.high}.")

    @property
    def size(self) -> int | None:
        """The number of columns of x; None if nothing is said of them."""
        return next((len(values) for values in (self.columns, self.low, self.step) if values), None)

    @property
    def has_grid(self) -> bool:
        """Whether any column holds values on a grid."""
        return any(self.step)

    @property
    def has_noise(self) -> bool:
        """Whether `with_noise` changes anything."""
        return any(self.step) or any(self.edge_low) or any(self.edge_high)

    @property
    def noise_draws(self) -> int:
        """The number of draws of the noise of a row over which its NLL is the mean; 0 if there is none."""
        return 4 if self.has_noise else 0

    def round(self, x: tf.Tensor) -> tf.Tensor:
        """x [..., d] with the values of grid columns moved to the nearest value of the grid within the bounds."""
        x = tf.convert_to_tensor(x)
        if not self.has_grid:
            return x
        step, origin, low, high = self._grids(x.dtype)
        number = tf.round((x - origin) / step)
        first, last = tf.math.ceil((low - origin) / step - 1e-3), tf.math.floor((high - origin) / step + 1e-3)
        if any(self._turns):
            turns = tf.constant(self._turns, x.dtype)  # of a column without, its low may be infinite
            start = tf.where(turns > 0, first, tf.zeros_like(first))
            number = tf.where(turns > 0, start + tf.math.floormod(number - start, tf.maximum(turns, 1.0)), number)
        first, last, on_grid = (origin + step * value for value in (first, last, number))
        return tf.where(tf.constant(self.step) > 0, tf.clip_by_value(on_grid, first, last), x)

    def with_noise(self, x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """x [..., d] dequantized: each value with uniform noise over the numbers that are rounded to it.

            grid column:  uniform on [v − step / 2, v + step / 2], v = round(x), cut at bounds that are none of a period
            other column: where x is nearer to a bound than the edge, bound ± edge · (u₁ + u₂) / 2, u uniform on [0, 1]

        Args:
          x: values, with noise already or without.
          seed: of the noise, integers [2].
        """
        x = tf.convert_to_tensor(x)
        if not self.has_noise:
            return x
        u = tf.random.stateless_uniform(tf.concat([[2], tf.shape(x)], 0), seed, dtype=x.dtype)
        if self.has_grid:
            step, _, low, high = self._grids(x.dtype)
            if any(self._turns):
                goes_around = tf.constant(self._turns) > 0
                low, high = (tf.where(goes_around, at, end) for at, end in ((-np.inf, low), (np.inf, high)))
            value = self.round(x)
            half = step / 2 - 2.0 * x.dtype.as_numpy_dtype(np.finfo(x.dtype.as_numpy_dtype).eps) * tf.abs(value)
            least, most = tf.maximum(value - half, low), tf.minimum(value + half, high)  # is still rounded to `value`
            x = tf.where(tf.constant(self.step) > 0, least + u[0] * (most - least), x)
        for edge, bounds, sign in ((self.edge_low, self.low, 1.0), (self.edge_high, self.high, -1.0)):
            if any(edge):
                bound = tf.constant([0.0 if value is None else value for value in bounds], x.dtype)
                reach = tf.constant(edge, x.dtype)
                noisy = bound + sign * reach * (u[0] + u[1]) / 2
                x = tf.where(sign * (x - bound) < reach, noisy, x)
        return x

    def wrapped(self, x: np.ndarray) -> np.ndarray:
        """x [..., d] with the values of periodic columns moved into their period; in float64 if there are any."""
        if not any(self.periodic):
            return x
        ends = zip(self.low, self.high, self.periodic, strict=True)
        low, high = np.transpose([(low, high) if turns else (-np.inf, np.inf) for low, high, turns in ends])
        return wrapped_columns(x, low, high)

    @property
    def _turns(self) -> list[float]:
        """The number of values on the grid of each periodic column; 0 of others, and where the grid does not close."""
        turns = []
        for is_periodic, step, low, high in zip(self.periodic, self.step, self.low, self.high, strict=False):
            number = round((high - low) / step) if is_periodic and step else 0  # type: ignore[operator]
            turns.append(float(number) if abs(number * step - (high or 0) + (low or 0)) < 1e-3 * step else 0.0)
        return turns

    def _grids(self, dtype: tf.DType) -> tuple[tf.Tensor, ...]:
        """Step (1 for columns without a grid), origin, and bounds, [d] each."""
        step = [value or 1.0 for value in self.step]
        low, high = ([end if v is None else v for v in b] for end, b in ((-math.inf, self.low), (math.inf, self.high)))
        return tuple(tf.constant(values, dtype) for values in (step, self.origin, low, high))

    def get_config(self) -> dict[str, Any]:
        """The fields as JSON values."""
        fields = dataclasses.asdict(self)
        return {name: None if value is None else list(value) for name, value in fields.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Schema:
        """The schema of `get_config`."""
        fields: dict[str, Any] = {name: None if value is None else tuple(value) for name, value in config.items()}
        return cls(**fields)


def _check_numbers(name: str, values: Any, least: float) -> None:
    """Raises `ValueError` unless all are finite numbers of at least so much."""
    for value in values:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not (is_number and math.isfinite(value) and value >= least):
            raise ValueError(
                f"`{name}` must hold finite numbers{'' if least else ' of at least 0'}; got {checks.shown(value)}."
            )
