"""Inspects the columns of a table, and standardizes them for a flow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks, tables
from tfp_nvp._grids import grid_step, sample_of
from tfp_nvp._warnings import warn
from tfp_nvp.bijectors import ActNorm, Bijector, Chain, Circle, ParetoTails, Sinh, Subvector, Support
from tfp_nvp.bijectors.support import LEAST_NUMBERS
from tfp_nvp.tables import Table
from tfp_nvp.training._models.moments import moments, robust_moments
from tfp_nvp.training._models.schema import Schema
from tfp_nvp.training._models.standardize import HEAVY

#: The least number of rows: of fewer, a fifth is too few to validate on.
MIN_ROWS = 20


def as_table(name: str, value: Any) -> Table:
    """Reads a table of finite numbers, float64 [n, d], and the names of its columns.

    A condition [n] is one column.

    Raises:
      TypeError, ValueError: if it is not a table, or holds missing, NaN or infinite values.
    """
    values, columns, title = tables.read(name, value)
    if values.ndim == 1 and not name.startswith("condition"):
        raise ValueError(f"`{name}` must be a table [rows, columns]; got shape {list(values.shape)}. Use x[:, None].")
    if values.ndim == 1:
        values, columns = values[:, np.newaxis], None if title is None else (title,)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"`{name}` must be a table [rows, columns]; got shape {list(values.shape)}.")
    tables.check_finite("Values", name, values, columns)
    return Table(values.astype(np.float64, copy=False), columns)


@dataclasses.dataclass(frozen=True)
class Columns:
    """Properties of the columns of x, each an array [d]."""

    low: np.ndarray  # bounds, ±inf where there is none; of a periodic column, the ends of its period
    high: np.ndarray
    step: np.ndarray  # distance of the values of a discrete column, 0 for a continuous one
    center: np.ndarray  # median
    scale: np.ndarray  # robust standard deviation
    log: np.ndarray  # bool: whether the distance from a single bound goes through a logarithm
    # Distances from the bounds within which values are not told apart, 0 for none; of a discrete column half of the
    # cell of a value on the bound, whose noise then is no tail.
    edge: tuple[np.ndarray, np.ndarray]
    heavy: np.ndarray  # bool: whether tails are tamed, after the bounds are mapped away
    origin: np.ndarray  # a value of a discrete column, 0 for a continuous one
    periodic: np.ndarray  # bool: whether low and high are one point
    tails: str = "asinh"  # how heavy tails are tamed: "asinh" or "pareto"

    def schema(self) -> Schema:
        """What the model keeps of the columns."""
        low, high = (tuple(float(v) if np.isfinite(v) else None for v in end) for end in (self.low, self.high))
        # Values near a bound get noise over the edge; those of a grid have that of their step.
        numbers = (self.step, self.origin, *(np.where(self.step > 0, 0.0, edge) for edge in self.edge))
        step, origin, edge_low, edge_high = (tuple(map(float, values)) for values in numbers)
        periodic = tuple(map(bool, self.periodic))
        return Schema(
            low=low, high=high, step=step, origin=origin, edge_low=edge_low, edge_high=edge_high, periodic=periodic
        )

    @property
    def is_bounded(self) -> np.ndarray:
        """Whether a column has any bound, [d]."""
        return (np.isfinite(self.low) | np.isfinite(self.high)) & ~self.periodic

    def take(self, mask: np.ndarray) -> Columns:
        """The columns of a mask [d]."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Columns(**{name: _taken(value, mask) for name, value in fields.items()})

    def around(self, layers: list[Bijector], dtype: Any) -> list[Bijector]:
        """Returns bijectors of all columns, of `layers` of those that are not periodic."""
        if not self.periodic.any():
            return layers
        ends = np.where(self.periodic, self.low, -np.inf), np.where(self.periodic, self.high, np.inf)
        others = [Subvector(Chain(layers), ~self.periodic, name="not_periodic")] if layers else []
        return [Circle(*ends, dtype=dtype), *others]

    def support(self, dtype: Any) -> Support:
        """The bijector from the real line into the bounds. The median lies a scale from a single bound."""
        low, high = np.where(self.periodic, -np.inf, self.low), np.where(self.periodic, np.inf, self.high)
        anchor = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0.0))
        spacing = np.spacing(np.abs(anchor).astype(tf.as_dtype(dtype).as_numpy_dtype)).astype(np.float64)
        distance = np.maximum(np.abs(self.center - anchor), 1e-3 * self.scale)
        distance = np.maximum(distance, 2 * LEAST_NUMBERS * spacing)
        middle = self.step / 4  # of the cell of a value on a bound, which the bound cuts in half
        return Support(low, high, scale=distance, log=self.log, edge=self.edge, on_bound=(middle, middle), dtype=dtype)

    def bijectors(self, dtype: Any) -> list[Bijector]:
        """Returns bijectors from standardized values to the data's own units, the one next to the data first.

        `initialize_standardization` sets the standardizations.
        """
        event_shape = self.low.shape
        layers: list[Bijector] = []
        if self.is_bounded.any():
            layers.append(self.support(dtype))
        if self.heavy.any():
            tame = ParetoTails(self.heavy, dtype=dtype) if self.tails == "pareto" else Sinh(self.heavy, dtype=dtype)
            layers += [ActNorm(event_shape, trainable=False, dtype=dtype, name="center"), tame]
        layers.append(ActNorm(event_shape, trainable=False, dtype=dtype, name="standardize"))
        return layers


def _taken(value: Any, mask: np.ndarray) -> Any:
    if isinstance(value, str):
        return value
    return tuple(end[mask] for end in value) if isinstance(value, tuple) else value[mask]


def inspect_columns(
    x: np.ndarray,
    support: Any,
    dtype: Any = "float32",
    weight: np.ndarray | None = None,
    names: tuple[str, ...] | None = None,
    periods: tuple[np.ndarray, np.ndarray] | None = None,
) -> Columns:
    """Bounds, steps and tails of the columns of x [n, d], whose rows may have weights [n].

    `periods` are the ends of periodic columns, within which their values are. Messages call the columns by their names.

    Raises:
      ValueError: for a column that is constant or that `dtype` can't resolve, or a `support` that x leaves or that is
        too wide.
    """
    low, high = _bounds(x, support, names)
    periodic = np.zeros(low.shape, bool)
    if periods is not None:
        periodic = np.isfinite(periods[0])
        _refuse_both(periodic & (np.isfinite(low) | np.isfinite(high)), names)
        low, high = (np.where(periodic, *ends) for ends in zip(periods, (low, high), strict=True))
    _refuse_constant(x, names)
    refuse_unresolved("x", x, dtype, names)
    step = np.array([grid_step(column) for column in x.T])
    _refuse_open_grids(step, low, high, periodic, names)
    if step.any():
        warn(
            f"Column(s) {tables.listed(names, np.flatnonzero(step))} hold values on a grid (steps "
            f"{step[step > 0].tolist()}), to which a density could collapse. They are dequantized: uniform noise of "
            "one step's width is added while fitting and in every `nll`. log_prob is the density of the noisy values; "
            "samples are rounded to the grid."
        )
    least = x.min(axis=0)
    short = np.array([float(f"{value:.7g}") for value in least])  # what was rounded to float32 in the data
    origin = np.where(step > 0, np.where(np.abs(short - least) < 5e-3 * step, short, least), 0.0)
    none, never = np.zeros_like(low), np.zeros(low.shape, bool)
    moments_of_x = robust_moments(x, weight)
    columns = Columns(
        low, high, step, *moments_of_x, log=never, edge=(none, none), heavy=never, origin=origin, periodic=periodic
    )
    columns = _with_tails(columns, x, dtype, weight, names)
    _warn_of_atoms(columns, x, names)
    return columns


def _with_tails(
    columns: Columns, x: np.ndarray, dtype: Any, weight: np.ndarray | None, names: tuple[str, ...] | None
) -> Columns:
    """Chooses the maps of single bounds and of heavy tails, and the edges of bounds that values lie on."""
    if columns.step.any():  # as they are fitted: a value on a bound would be a tail
        x = columns.schema().with_noise(x, (0, 0)).numpy()
    z = x
    if columns.is_bounded.any():
        columns = dataclasses.replace(columns, edge=_edges(columns, x, dtype))
        single = np.isfinite(columns.low) ^ np.isfinite(columns.high)
        columns = dataclasses.replace(columns, log=single & _is_heavy(_latents(columns, x, dtype), weight))
        z = _latents(columns, x, dtype)
        median, robust = robust_moments(z, weight)
        resolution = np.finfo(tf.as_dtype(dtype).as_numpy_dtype).eps * np.maximum(1.0, np.abs(median))
        wide = np.flatnonzero(columns.is_bounded & (robust < 50 * resolution))
        if wide.size:
            raise ValueError(
                f"`support` is too wide for column(s) {tables.listed(names, wide)}: their values can't be told apart "
                "within it. Give only the bound that the data come near, and None for the other."
            )
    return dataclasses.replace(columns, heavy=_is_heavy(z, weight) & ~columns.periodic)


def _is_heavy(values: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    center, scale = robust_moments(values, weight)
    return np.abs(values - center).max(axis=0) > HEAVY * scale


def _latents(columns: Columns, x: np.ndarray, dtype: Any) -> np.ndarray:
    """x with its bounds mapped away, in float64: the bounds and the values are those of `dtype`."""
    support = columns.support(dtype)
    return support.inverse(tf.constant(x, support.dtype)).numpy().astype(np.float64)


def _edges(columns: Columns, x: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Half the distance of the value nearest to a bound, for columns with others on it or too close for `dtype`.

    Of a discrete column, half the width of the cell of a value on the bound.
    """
    x = x.astype(tf.as_dtype(dtype).as_numpy_dtype).astype(np.float64)
    edges = []
    for edge, distance in zip(columns.support(dtype).edges, (x - columns.low, columns.high - x), strict=True):
        at_bound = distance < edge
        nearest = np.where(at_bound, np.inf, distance).min(axis=0)
        half = np.where(columns.step > 0, columns.step / 4, np.where(np.isfinite(nearest), nearest / 2, 0.0))
        wanted = (columns.step > 0) | at_bound.any(axis=0)
        edges.append(np.where(wanted, np.maximum(edge, half), 0.0))
    return edges[0], edges[1]


def initialize_standardization(
    layers: list[Bijector], columns: Columns, x: np.ndarray, weight: np.ndarray | None = None
) -> tf.Tensor:
    """Sets the standardizations of `Columns.bijectors` from the training rows; returns the standardized rows."""
    value = tf.constant(x, tf.float64)
    for layer in layers:
        if layer.name == "center":
            center, scale = robust_moments(value.numpy(), weight)
            layer.shift.assign(np.where(columns.heavy, center, 0.0))
            layer.log_scale.assign(np.log(np.where(columns.heavy, scale, 1.0)))
            layer.initialized.assign(1.0)
        elif isinstance(layer, ParetoTails):
            layer.initialize(value)
        else:
            standardize(layer, value, weight)
        value = tf.cast(layer.inverse(tf.cast(value, layer.dtype)), tf.float64)
    return value


def standardize(layer: ActNorm, x: tf.Tensor, weight: np.ndarray | None = None) -> None:
    """Sets the layer so that the rows x [n, d] come out with mean 0 and variance 1."""
    if weight is None:
        layer.initialize(x)
    else:
        mean, deviation = moments(np.asarray(x, np.float64), weight)
        layer.initialize(tf.constant([mean - deviation, mean + deviation]))  # two rows with these very moments


def _bounds(x: np.ndarray, support: Any, names: tuple[str, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    d = x.shape[1]
    support = _by_column(support, d, names) if isinstance(support, Mapping) else support
    if support is None:
        return np.full(d, -np.inf), np.full(d, np.inf)
    if isinstance(support, list) and all(isinstance(pair, tuple) for pair in support):
        raise TypeError(
            "`support` must be a pair (low, high), or a dict of pairs by column such as {0: (low, high)}; got the list "
            f"{checks.shown(support)}."
        )
    if not isinstance(support, (tuple, list)) or len(support) != 2:
        raise TypeError(
            "`support` must be a pair (low, high) of numbers or of arrays [d], or a dict of pairs by column; got "
            f"{support!r}."
        )
    ends = []
    for end, default in zip(support, (-np.inf, np.inf), strict=True):
        values = np.asarray(default if end is None else end)
        if values.dtype == object:
            values = np.array([default if v is None else v for v in values])
        try:
            ends.append(np.broadcast_to(values.astype(np.float64), d).copy())
        except ValueError:
            raise ValueError(
                f"`support` must give one bound, or one for each of {d} columns; got shape {values.shape}."
            ) from None
    low, high = ends
    if not (low < high).all():
        raise ValueError(f"`support` must have low below high in every column; got {low.tolist()} and {high.tolist()}.")
    refuse_outside("x", x, low, high, names)
    return low, high


def refuse_outside(
    name: str, x: np.ndarray, low: np.ndarray, high: np.ndarray, names: tuple[str, ...] | None = None
) -> None:
    """Raises `ValueError` if rows of x leave the bounds."""
    outside = (x < low) | (x > high)
    rows = np.flatnonzero(outside.any(axis=1))
    if rows.size:
        raise ValueError(
            f"`{name}` leaves its `support` in {rows.size} row(s): {rows[:5].tolist()}, column(s) "
            f"{tables.listed(names, np.flatnonzero(outside.any(axis=0)))}. Widen the support or drop them."
        )


def _refuse_both(columns: np.ndarray, names: tuple[str, ...] | None) -> None:
    """Raises `ValueError` if a column has bounds and a period."""
    if columns.any():
        raise ValueError(
            f"`support` must leave out periodic columns, which have no bounds; it bounds column(s) "
            f"{tables.listed(names, np.flatnonzero(columns))}. Give it as a dict by name, or None for these."
        )


def _refuse_open_grids(
    step: np.ndarray, low: np.ndarray, high: np.ndarray, periodic: np.ndarray, names: tuple[str, ...] | None
) -> None:
    """Raises `ValueError` if a period is no multiple of the step of a grid, whose ends then overlap."""
    for i in np.flatnonzero(periodic & (step > 0)):
        period = high[i] - low[i]
        count = max(1.0, np.round(period / step[i]))
        if abs(period - count * step[i]) > 0.01 * step[i]:
            raise ValueError(
                f"`periodic` must give column {tables.label(names, i)} a period that is a multiple of the step "
                f"{step[i]:g} of its grid of values; got {period:g}, so that the grid does not close. Is it "
                f"{count * step[i]:g}? Or add noise to the values, so that they are on no grid."
            )


def _by_column(support: Mapping[Any, Any], d: int, names: tuple[str, ...] | None) -> tuple[list[Any], list[Any]]:
    """Bounds (low, high) of all columns, of a dict of those of some by name or number."""
    pairs: list[Any] = [(None, None)] * d
    for column, pair in support.items():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"`support` must give a pair (low, high) for each column; got {pair!r} for {column!r}.")
        pairs[tables.column_number("support", column, d, names)] = pair
    return [low for low, _ in pairs], [high for _, high in pairs]


def _refuse_constant(x: np.ndarray, names: tuple[str, ...] | None) -> None:
    constant = np.flatnonzero(x.max(axis=0) == x.min(axis=0))
    if constant.size:
        listed = ", ".join(f"{tables.label(names, i)} (always {x[0, i]:g})" for i in constant[:5])
        raise ValueError(f"`x` has constant column(s), which have no density: {listed}. Drop them.")


def refuse_unresolved(name: str, table: np.ndarray, dtype: Any, names: tuple[str, ...] | None = None) -> None:
    """Raises `ValueError` if a column varies by less than `dtype` resolves, or is too large or small for it.

    The spread is computed in float64, and compared with the least normal number of `dtype`.
    """
    limits = np.finfo(tf.as_dtype(dtype).as_numpy_dtype)
    large = np.flatnonzero(np.abs(table).max(axis=0) > limits.max / 100)
    if large.size:
        i = large[0]
        raise ValueError(
            f"`{name}` has column(s) that {limits.dtype} can't hold: {tables.listed(names, large)}; column "
            f"{tables.label(names, i)} goes up to {np.abs(table[:, i]).max():g}. Rescale it first."
        )
    median, robust = robust_moments(table)
    deviation = moments(table)[1]
    spread = np.minimum(robust, deviation)
    lost = (spread < 50 * limits.eps * np.abs(median)) | (spread < 10 * limits.tiny)
    lost = np.flatnonzero(lost & (table.max(axis=0) > table.min(axis=0)))
    if lost.size:
        i = lost[0]
        raise ValueError(
            f"`{name}` has column(s) that {limits.dtype} can't resolve: {tables.listed(names, lost)}; column "
            f"{tables.label(names, i)} lies around {median[i]:g} and varies by {spread[i]:g}. Subtract a constant "
            "from it or rescale it first."
        )


def _warn_of_atoms(columns: Columns, x: np.ndarray, names: tuple[str, ...] | None) -> None:
    """Warns of a value that many rows share, off any grid."""
    at_bounds = [x - columns.low < columns.edge[0], columns.high - x < columns.edge[1]]
    for i in np.flatnonzero(columns.step == 0):
        label, at_bound = tables.label(names, i), [end[:, i] for end in at_bounds]
        for rows, bound, edge in zip(at_bound, (columns.low, columns.high), columns.edge, strict=True):
            if rows.mean() > 0.01:
                text = (
                    f"{rows.mean():.1%} of the rows of column {label} lie on the bound {bound[i]:g} of their support, "
                    "or too close to it to tell: an atom, of which there is no density. While fitting they are spread "
                    f"over the {edge[i]:.3g} next to the bound, and log_prob there is the density of these values. If "
                    "they mean something else than the others, model them apart."
                )
                warn(text)
        column = sample_of(x[~(at_bound[0] | at_bound[1]), i])
        values, counts = np.unique(column, return_counts=True)
        if counts.max(initial=0) > max(10, 0.1 * len(column)):
            text = (
                f"Column {label} is {values[counts.argmax()]:g} in {counts.max() / len(column):.0%} of the rows. A "
                "density has no value at such an atom: its log_prob there can grow without bound. Model these rows "
                "apart, or leave the column out."
            )
            warn(text)
