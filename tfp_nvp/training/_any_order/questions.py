"""What a table's model is asked: densities, samples, imputations, by names of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfp_nvp import checks, tables
from tfp_nvp.any_order.category import Category
from tfp_nvp.any_order.column import Column
from tfp_nvp.any_order.frames import as_frame
from tfp_nvp.any_order.schema import Schema
from tfp_nvp.training._any_order.evaluator import Evaluator
from tfp_nvp.training._any_order.given import ColumnsGiven


class Estimate(NamedTuple):
    """A mean of draws, and its standard error."""

    value: float
    standard_error: float


class Questions:
    """The methods of `TableModel` that ask it.

    Tables are `pandas.DataFrame`s or `pyarrow.Table`s, whose columns are taken by name; NaN, None, NaT and NA are
    missing cells, and so are columns that a table lacks.
    """

    schema: Schema
    _evaluator: Evaluator

    def log_prob(self, x: Any, *, given: Sequence[str] = (), orders: int = 1) -> np.ndarray:
        """log p(row) [n] in nats, or log p(other columns | the columns `given`); missing cells are marginalized.

        Args:
          x: table of n rows.
          given: names of the columns that are conditioned on.
          orders: 1 for the density of the schema's order of columns; K for the mixture, with equal weights, of those
            of K orders: the schema's, its reverse, and random ones that are the same in every call. It takes K times
            as long, and is mostly closer to the truth.

        Raises:
          TypeError, ValueError: for unknown columns and cells that contradict the schema.
        """
        numbers = self.schema.numbers(x, some=True)
        known = self.schema.numbers_of(given, "given")
        orders = checks.integer("orders", orders, 1)
        rest = [j for j in range(len(self.schema)) if j not in known]
        each = [self._evaluator.log_prob(numbers, known, order) for order in _orders(rest, orders)]
        return np.logaddexp.reduce(each, axis=0) - np.log(len(each))

    def sample(self, n: int | None = None, *, given: Any = None, seed: int | None = None) -> Any:
        """Draws rows, as a `pandas.DataFrame` in the data's types, categories and order of columns.

        Args:
          n: how many; None for as many as `given` has rows.
          given: values to condition on: a dict of name → value, or of name → n values, or a table of n rows. Its
            missing cells are drawn too.
          seed: an int for the same rows in every call.

        Raises:
          TypeError, ValueError: for values that contradict the schema.
        """
        numbers = self._given(given, n)
        if numbers is None:
            numbers = np.full([checks.integer("n", n, 0), len(self.schema)], np.nan)
        seed = checks.seed_or_random("seed", seed)
        return self.schema.frame(self._evaluator.completed(numbers, range(len(self.schema)), seed))

    def impute(self, x: Any, *, num_samples: int | None = None, seed: int | None = None) -> Any:
        """The table with its missing cells filled; cells that are there stay as they are.

        Without `num_samples` each gap gets its best guess given the cells of its row that are there: the mean of a
        number (rounded to the column's grid), the most probable category. So gaps of one row are guessed one by one.
        With `num_samples` they are drawn together, in several tables: multiple imputations, whose spread tells how
        uncertain a result is that is computed from each (Rubin 1987, "Multiple Imputation for Nonresponse in Surveys").

        Args:
          x: table of n rows; columns of the schema that it lacks are added.
          num_samples: None for one table of best guesses; K for a list of K tables.
          seed: of the draws; an int for the same tables in every call.

        Raises:
          TypeError, ValueError: for cells that contradict the schema.
        """
        frame = as_frame("x", x)
        numbers = self.schema.numbers(frame, some=True)
        if num_samples is None:
            return self._filled(frame, numbers, self._best_guesses(numbers))
        num_samples = checks.integer("num_samples", num_samples, 1)
        seeds = np.random.default_rng(checks.seed_or_random("seed", seed)).integers(2**31, size=num_samples)
        order = range(len(self.schema))
        return [self._filled(frame, numbers, self._evaluator.completed(numbers, order, int(s))) for s in seeds]

    def attributions(self, x: Any) -> Any:
        """−log p(cell | all other cells of its row), in nats, of every cell: a `pandas.DataFrame` [n, d].

        A large number says that the cell does not go with the rest of its row. NaN for missing cells. Numbers with a
        density may have negative ones; compare rows within a column, not columns.

        Args:
          x: table of n rows.
        """
        import pandas as pd

        frame = as_frame("x", x)
        numbers, d = self.schema.numbers(frame, some=True), len(self.schema)
        log_prob = self._evaluator.cell_log_probs(numbers, 1.0 - np.eye(d, dtype=np.float32), range(d)).T
        cells = np.where(np.isnan(numbers), np.nan, -log_prob)
        return pd.DataFrame(cells, columns=list(self.schema), index=frame.index)

    def cdf(self, x: Any, column: str, *, given: Sequence[str] | None = None) -> np.ndarray:
        """P(X ≤ the row's cell in `column` | the columns `given`) [n]; NaN where that cell is missing.

        Args:
          x: table of n rows.
          column: name of a column whose values have an order.
          given: names of the columns that are conditioned on; None for all others that the table has.
        """
        numbers = self.schema.numbers(x, some=True)
        j = self._ordered(column)
        known = self._known(numbers, j, given)
        result = np.full(len(numbers), np.nan)
        for rows in self._evaluator.in_chunks(len(numbers)):
            cells = numbers[rows]
            here = self._evaluator.conditional(cells, known[rows], j).cdf(np.nan_to_num(cells[:, j]))
            result[rows] = np.where(np.isnan(cells[:, j]), np.nan, here)
        return result

    def quantile(self, level: float, column: str, *, given: Any = None) -> Any:
        """The least value of `column` that is not exceeded with probability `level`, given others: a `pandas.Series`.

        Args:
          level: in (0, 1).
          column: name of a column whose values have an order.
          given: a dict or a table as in `sample`; None for the quantile of all rows, a series of one value.
        """
        level = checks.number("level", level, checks.INNER_FRACTION)
        j = self._ordered(column)
        numbers = self._given(given, None)
        numbers = np.full([1, len(self.schema)], np.nan) if numbers is None else numbers
        numbers[:, j] = np.nan
        result = np.full(len(numbers), np.nan)
        for rows in self._evaluator.in_chunks(len(numbers)):
            cells = numbers[rows]
            result[rows] = self._evaluator.conditional(cells, ~np.isnan(cells), j).quantile(np.full(len(cells), level))
        return self.schema.columns[j].series(column, result)

    def mutual_information(self, a: Any, b: Any, *, num_samples: int = 10_000, seed: int | None = None) -> Estimate:
        """I(a; b) in nats, of columns a and b of the model: how much one tells of the other; 0 if they are independent.

            I = E log p(b | a) − E log p(b),    a, b ~ p(a) p(b | a)

        Args:
          a, b: a name, or several, of different columns.
          num_samples: of the rows that the mean is of.
          seed: an int for the same rows in every call.

        Returns:
          The estimate and its standard error, of the draws. It may be a little below 0.
        """
        first, second = self.schema.numbers_of(a, "a"), self.schema.numbers_of(b, "b")
        if set(first) & set(second):
            raise ValueError(f"`a` and `b` must be different columns; got {checks.shown(a)} and {checks.shown(b)}.")
        empty = np.full([checks.integer("num_samples", num_samples, 2), len(self.schema)], np.nan)
        rows = self._evaluator.completed(empty, [*first, *second], checks.seed_or_random("seed", seed))
        gain = self._evaluator.log_prob(rows, first, second) - self._evaluator.log_prob(rows, [], second)
        return Estimate(float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain))))

    def given(self, values: Mapping[str, Any], columns: Sequence[str] | None = None) -> ColumnsGiven:
        """p(columns | values), as a `tfd.Distribution` of vectors; for real columns.

        Args:
          values: name → one value.
          columns: names of the k columns of the vector, in its order; None for all others that hold real numbers.

        Raises:
          ValueError: for columns of categories or dates, of which `log_prob(x, given=[...])` and `sample` are.
        """
        known = self._given(dict(values), 1) if values else None
        names = [n for n in self.schema if n not in values and _is_real(self.schema[n])] if columns is None else columns
        numbers = self.schema.numbers_of(names, "columns")
        both = [name for name in names if name in values]
        if both:
            raise ValueError(f"`columns` must be others than those given; {both[0]!r} is in both.")
        wrong = [name for name in names if not _is_real(self.schema[name])]
        if wrong or not names:
            raise ValueError(
                f"`columns` must be columns of numbers; got {tables.quoted(wrong or self.schema)}. Of others, use "
                "`log_prob(x, given=[...])` and `sample(n, given={...})`."
            )
        row = np.full([1, len(self.schema)], np.nan) if known is None else known
        return ColumnsGiven(self._evaluator, row[0], numbers)

    def marginal(self, columns: Sequence[str]) -> ColumnsGiven:
        """p(columns), with all others marginalized, as a `tfd.Distribution` of vectors; for real columns.

        Of others, `log_prob(x[columns])` and `sample(n)[columns]` are the same.
        """
        return self.given({}, columns)

    # Helpers.

    def _given(self, given: Any, n: int | None) -> np.ndarray | None:
        """Values to condition on as numbers [n, d], NaN in columns that are not given; None if nothing is."""
        if given is None or (isinstance(given, Mapping) and not given):
            return None
        if isinstance(given, Mapping):
            self.schema.numbers_of(list(given), "given")
            lengths = {len(value) for value in given.values() if np.ndim(value)} or {1 if n is None else n}
            if len(lengths) > 1:
                raise ValueError(f"`given` must have as many values of each column; got {sorted(lengths)}.")
            rows = range(lengths.pop())
            given = as_frame("given", {name: _repeated(value, rows) for name, value in given.items()})
        numbers = self.schema.numbers(given, "given", some=True)
        if n is not None and len(numbers) != checks.integer("n", n, 0):
            raise ValueError(f"`n` must be the number of rows of `given`, {len(numbers)}, or left out; got {n}.")
        return numbers

    def _known(self, numbers: np.ndarray, column: int, given: Sequence[str] | None) -> np.ndarray:
        """Which cells [n, d] are conditioned on for `column`."""
        others = [j for j in range(numbers.shape[1]) if j != column]
        names = others if given is None else self.schema.numbers_of(given, "given")
        if column in names:
            raise ValueError(f"`given` must be other columns than {self.schema.names[column]!r}, which is asked for.")
        known = np.zeros(numbers.shape, bool)
        known[:, names] = True
        return known & ~np.isnan(numbers)

    def _ordered(self, column: str) -> int:
        """The number of a column whose values have an order."""
        (j,) = self.schema.numbers_of([column], "column")
        if not self.schema.columns[j].is_ordered:
            raise ValueError(
                f"`column` must be one whose values have an order; {column!r} is a "
                f"{type(self.schema[column]).__name__}. Give it one by Ordinal(categories=[...]), or ask `log_prob`."
            )
        return j

    def _best_guesses(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers [n, d] with the best guess of each gap, given the cells of its row that are there."""
        filled = numbers.copy()
        for j, column in enumerate(self.schema.columns):
            gaps = np.flatnonzero(np.isnan(numbers[:, j]))
            for rows in self._evaluator.in_chunks(len(gaps), copies=4):
                some = numbers[gaps[rows]]
                conditional = self._evaluator.conditional(some, ~np.isnan(some), j)
                guess = conditional.mode() if isinstance(column, Category) else column.nearest(conditional.mean())
                filled[gaps[rows], j] = guess
        return filled

    def _filled(self, frame: Any, numbers: np.ndarray, complete: np.ndarray) -> Any:
        """A frame with the gaps of its numbers [n, d] replaced by complete ones."""
        import pandas as pd

        result, values = frame.copy(), self.schema.frame(complete).set_axis(frame.index)
        for j, name in enumerate(self.schema):
            gaps = np.isnan(numbers[:, j])
            if name not in frame:
                result[name] = values[name]
            elif gaps.any():
                # As objects: a column of floats may have been one of integers in training, and text of another dtype.
                filled = frame[name].astype(object).mask(gaps, values[name].astype(object))
                try:
                    result[name] = filled.astype(frame[name].dtype)
                except (TypeError, ValueError):
                    result[name] = pd.Series(filled.to_list(), index=frame.index)
        return result


def _orders(columns: list[int], number: int) -> list[list[int]]:
    """Different orders of columns: as they are, reversed, and random ones, which are the same in every call."""
    rng = np.random.default_rng(0)
    orders = [columns, columns[::-1], *(rng.permutation(columns).tolist() for _ in range(number - 2))]
    return orders[:number]


def _repeated(value: Any, rows: range) -> Any:
    return [value for _ in rows] if np.ndim(value) == 0 else value


def _is_real(column: Column) -> bool:
    return column.density == "line" and column.dtype[:4] != "date"
