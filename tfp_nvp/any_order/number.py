"""Columns of real numbers and integers."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfp_nvp import checks
from tfp_nvp.any_order.cells import FAR, Cells
from tfp_nvp.any_order.column import LEARNED, Column
from tfp_nvp.any_order.frames import numbers_of, series_of
from tfp_nvp.any_order.line import Line

#: Values that are within this share of a step of the grid count as on it.
_OFF_GRID = 1e-3


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Real(Column):
    """Real numbers: a density; with a `step`, numbers on a grid.

    On a grid origin + step · i, a number v stands for the interval of one step around it, other numbers count as the
    nearest of the grid, and the density is

        p(v) = P(v − step / 2 < X < v + step / 2) / step

    which is that of a histogram: bounded however often values repeat, normalized, and the limit of the density of X as
    the step goes to zero. Of integers (step 1) it is the probability itself.

    Args:
      step: distance of neighbouring values; 0 for real numbers that do not repeat.
      origin: a value of the grid.
      atoms: values that occur so often that each has a probability of its own. Without a step, `log_prob` of such a
        value is the log of that probability, and not of a density.
      low, high: bounds; None where there is none.

    Raises:
      ValueError: if these contradict each other.
    """

    density: ClassVar[str] = "line"

    step: float = 0.0
    origin: float = 0.0
    atoms: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    line: Line = dataclasses.field(default_factory=Line, metadata=LEARNED)

    def __post_init__(self) -> None:
        step = checks.number("step", self.step, checks.Interval(0.0))
        checks.number("origin", self.origin, checks.Interval())
        ends = [None if end is None else checks.number("low, high", end, checks.Interval()) for end in self._ends]
        if None not in ends and not ends[0] < ends[1]:  # type: ignore[operator]
            raise ValueError(f"`low` must be below `high`; got {self.low} and {self.high}.")
        atoms = tuple(sorted({float(checks.number("atoms", atom, checks.Interval())) for atom in self.atoms}))
        line = Line(**self.line) if isinstance(self.line, dict) else self.line
        for name, value in (("step", step), ("low", ends[0]), ("high", ends[1]), ("atoms", atoms), ("line", line)):
            object.__setattr__(self, name, value)

    @property
    def _ends(self) -> tuple[float | None, float | None]:
        return self.low, self.high

    @property
    def num_atoms(self) -> int:
        return len(self.atoms)

    @property
    def on_grid(self) -> bool:
        return self.step > 0

    def completed(self, name: str, series: Any) -> Column:
        self.numbers(name, series)
        return self if self.dtype else dataclasses.replace(self, dtype=str(series.dtype))

    def fitted(self, numbers: np.ndarray) -> Column:
        x = numbers[~np.isnan(numbers)]
        x = x[self._atom_of(x) == self.num_atoms] if self.num_atoms and not self.on_grid else x
        ends = (None, None) if self.on_grid else self._ends  # a grid's end cells reach to infinity instead
        return dataclasses.replace(self, line=Line.fitted(x, *ends))

    def numbers(self, name: str, series: Any) -> np.ndarray:
        x = self._read(name, series)
        known = ~np.isnan(x)
        for end, outside, word in (
            (self.low, x < (self.low or 0), "below"),
            (self.high, x > (self.high or 0), "above"),
        ):
            rows = np.flatnonzero(known & outside) if end is not None else np.zeros(0, int)
            if rows.size:
                raise ValueError(
                    f"Column {name!r} must not be {word} {end:g}, as its schema says; row {rows[0]} has "
                    f"{x[rows[0]]:g}, and so have {rows.size - 1} more. Correct the cells, or the schema's bound."
                )
        return x

    def series(self, name: str, numbers: np.ndarray) -> Any:
        return series_of(name, numbers, self.dtype)

    def encode(self, numbers: np.ndarray) -> Cells:
        known = ~np.isnan(numbers)
        x = np.where(known, numbers, self._inside)
        x = self._on_grid(x) if self.on_grid else x
        atom = self._atom_of(x)
        if not self.on_grid:
            is_atom = atom < self.num_atoms
            z, log_det = self.line.forward(x)
            return Cells.of(known, value=z, atom=atom, log_det=np.where(is_atom, 0.0, log_det))
        low, high = (self.line.forward(x + sign * self.step / 2)[0] for sign in (-1.0, 1.0))
        width = high - low
        for end, sign in ((self.low, -1.0), (self.high, 1.0)):
            if end is not None:
                at_end = sign * (end - x) < 0.999 * self.step  # the grid may end before the bound
                low, high = (np.where(at_end & (sign == s), s * FAR, v) for s, v in ((-1.0, low), (1.0, high)))
                width = np.where(at_end, 2 * FAR, width)
        z = self.line.forward(x)[0]
        log_det = np.full(x.shape, -np.log(self.step))
        return Cells.of(known, value=z, low=low, high=high, width=width, atom=atom, log_det=log_det)

    def decode(self, value: np.ndarray, atom: np.ndarray) -> np.ndarray:
        x = self.line.inverse(value)
        if self.on_grid:
            x = self._on_grid(x)
        if self.num_atoms:
            number = np.asarray(atom, int)
            x = np.where(number < self.num_atoms, np.asarray(self.atoms)[np.minimum(number, self.num_atoms - 1)], x)
        return x

    def nearest(self, numbers: np.ndarray) -> np.ndarray:
        return self._on_grid(numbers) if self.on_grid else numbers

    def _read(self, name: str, series: Any) -> np.ndarray:
        """Cells as float64 [n], NaN where missing, which may be out of bounds."""
        return numbers_of(name, series)

    def _on_grid(self, x: np.ndarray) -> np.ndarray:
        """The nearest numbers of the grid within the bounds."""
        low, high = (-np.inf if self.low is None else self.low), (np.inf if self.high is None else self.high)
        first, last = np.ceil((low - self.origin) / self.step - 1e-6), np.floor((high - self.origin) / self.step + 1e-6)
        return self.origin + self.step * np.clip(np.round((x - self.origin) / self.step), first, last)

    def _atom_of(self, x: np.ndarray) -> np.ndarray:
        """The number of the atom that each x is, or the number of atoms if it is none."""
        if not self.atoms:
            return np.zeros(x.shape)
        atoms = np.asarray(self.atoms)
        number = np.minimum(np.searchsorted(atoms, x - self._near), len(atoms) - 1)
        return np.where(np.abs(atoms[number] - x) <= self._near, number, len(atoms)).astype(float)

    @property
    def _near(self) -> float:
        """How far from an atom a number still is the atom, by rounding."""
        return self.step * 0.25 if self.on_grid else 0.0

    @property
    def _inside(self) -> float:
        """A number of the column, for cells that are missing."""
        low, high = self._ends
        if self.on_grid:
            return self.origin if low is None and high is None else float(low if low is not None else high or 0.0)
        if low is not None and high is not None:
            return (low + high) / 2
        return low + 1.0 if low is not None else (high - 1.0 if high is not None else 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Positive(Real):
    """Real numbers above a bound, 0 unless `low` says another.

    Args: those of `Real`.
    """

    low: float | None = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Bounded(Real):
    """Real numbers between two bounds, which have to be given.

    Args: those of `Real`.
    """

    low: float | None = 0.0
    high: float | None = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Integer(Real):
    """Whole numbers, each with a probability: the mass of the interval of length 1 around it.

    Args: those of `Real`; values at a bound have all the mass beyond it too. Other numbers are refused, where those of
      `Real(step=...)` count as the nearest of the grid.
    """

    step: float = 1.0

    def _read(self, name: str, series: Any) -> np.ndarray:
        x = numbers_of(name, series)
        index = (x - self.origin) / self.step
        rows = np.flatnonzero(np.abs(index - np.round(index)) > _OFF_GRID)
        if rows.size:
            what = "whole numbers" if self.step == 1 else f"multiples of {self.step:g} from {self.origin:g} on"
            raise ValueError(
                f"Column {name!r} must hold {what}, as its schema says; row {rows[0]} has {x[rows[0]]:g}, and "
                f"{rows.size - 1} more are none. Round them, or correct the schema: schema.replace({name}=Real())."
            )
        return x


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Count(Integer):
    """Whole numbers from 0 on, each with a probability.

    Args: those of `Real`.
    """

    low: float | None = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class AtomReal(Real):
    """Real numbers of which some values, 0 by default, have a probability of their own.

        p(x) = P(atom) for an atom, P(none) · density(x) for other numbers

    Its log-likelihood is that of a mass for atoms, and of a density for the others.

    Args: those of `Real`.
    """

    atoms: tuple[float, ...] = (0.0,)
