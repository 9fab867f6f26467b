"""Inspects the columns of a table, and standardizes them for a flow."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors import ActNorm, Bijector, Sinh, Support
from tfp_nvp.bijectors.sinh import asinh
from tfp_nvp.training._models.data import check_finite

#: The least number of rows: of fewer, a fifth is too few to validate on.
MIN_ROWS = 20
#: A column is heavy-tailed if its largest distance from the median exceeds this many robust
#: standard deviations; a million draws of a Gaussian stay within 5, of an exponential within 17.
HEAVY = 10.0


def as_table(name: str, value: Any) -> np.ndarray:
    """Converts `value` to float64 [n, d].

    Raises:
      TypeError, ValueError: if it is not a table, or holds NaN or infinite values.
    """
    try:
        table = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`{name}` must be a table of numbers [rows, columns]; {error}.") from None
    if table.ndim == 1 and name == "x":
        raise ValueError(f"`x` must be a table [rows, columns]; got shape {list(table.shape)}. Use x[:, None].")
    if table.ndim != 2 or not table.shape[1]:
        raise ValueError(f"`{name}` must be a table [rows, columns]; got shape {list(table.shape)}.")
    check_finite("Values", name, table)
    return table


@dataclasses.dataclass(frozen=True)
class Columns:
    """Properties of the columns of x, each an array [d]."""

    low: np.ndarray  # bounds, ±inf where there is none
    high: np.ndarray
    step: np.ndarray  # distance of the values of a discrete column, 0 for a continuous one
    center: np.ndarray  # median
    scale: np.ndarray  # robust standard deviation
    heavy: np.ndarray  # bool

    def bijectors(self, dtype: Any) -> list[Bijector]:
        """Returns bijectors from standardized values to the data's own units, the one next to the data first.

        `initialize_standardization` sets the standardizations.
        """
        event_shape = self.low.shape
        layers: list[Bijector] = []
        if np.isfinite(self.low).any() or np.isfinite(self.high).any():
            anchor = np.where(np.isfinite(self.low), self.low, np.where(np.isfinite(self.high), self.high, 0.0))
            distance = np.maximum(np.abs(self.center - anchor), 1e-3 * self.scale)
            layers.append(Support(self.low, self.high, scale=distance, dtype=dtype))
        if self.heavy.any():
            layers += [ActNorm(event_shape, trainable=False, dtype=dtype, name="center"), Sinh(self.heavy, dtype=dtype)]
        layers.append(ActNorm(event_shape, trainable=False, dtype=dtype, name="standardize"))
        return layers


def inspect_columns(x: np.ndarray, support: Any, dtype: Any = "float32") -> Columns:
    """Bounds, steps and tails of the columns of x [n, d].

    Raises:
      ValueError: for a column that is constant or that `dtype` can't resolve, or a `support` that x leaves or that is
        too wide.
    """
    low, high = _bounds(x, support)
    _refuse_constant(x)
    refuse_unresolved("x", x, dtype)
    step = np.array([_step(column) for column in x.T])
    if step.any():
        warnings.warn(
            f"Column(s) {np.flatnonzero(step).tolist()} hold values on a grid (steps {step[step > 0].tolist()}), to "
            "which a density could collapse. They are dequantized: uniform noise of one step's width is added while "
            "fitting, so log_prob is that of the noisy values; round samples to the grid.",
            UserWarning,
            stacklevel=3,
        )
    _warn_of_atoms(x, step)
    # Neither the noise nor the rounding of noisy values may leave the bounds.
    room = np.where(step > 0, step / 2 + 4 * np.spacing(np.abs(x).max(axis=0).astype(np.float32)), 0.0)
    low, high = low - room, high + room
    center, scale = robust_moments(x)
    bounded = np.isfinite(low) & np.isfinite(high)
    wide = np.flatnonzero(bounded & (1e-6 * np.where(bounded, high - low, 0.0) > 1e-2 * scale))
    if wide.size:
        raise ValueError(
            f"`support` is too wide for column(s) {wide.tolist()}: their values can't be told apart within it. Give "
            "only the bound that the data come near, and None for the other."
        )
    heavy = ~bounded & (np.abs(x - center).max(axis=0) > HEAVY * scale)
    return Columns(low, high, step, center, scale, heavy)


def robust_moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation of each column; the plain deviation if half of a column is one value."""
    low, median, high = np.percentile(values, [25, 50, 75], axis=0)
    robust = (high - low) / 1.349
    return median, np.where(robust > 0, robust, values.std(axis=0))


def initialize_standardization(layers: list[Bijector], columns: Columns, x: np.ndarray) -> tf.Tensor:
    """Sets the standardizations of `Columns.bijectors` from the training rows; returns the standardized rows."""
    value = tf.constant(x, tf.float64)
    for layer in layers:
        if layer.name == "center":
            center, scale = columns.center, columns.scale
            if any(isinstance(other, Support) for other in layers):
                center, scale = robust_moments(value.numpy())
            layer.shift.assign(np.where(columns.heavy, center, 0.0))
            layer.log_scale.assign(np.log(np.where(columns.heavy, scale, 1.0)))
            layer.initialized.assign(1.0)
        else:
            layer.initialize(value)
        value = tf.cast(layer.inverse(tf.cast(value, layer.dtype)), tf.float64)
    return value


@keras.saving.register_keras_serializable("tfp_nvp")
class Standardize(keras.layers.Layer):
    """(c − center) / scale of each column of a condition, then asinh where a column is heavy-tailed.

    Shapes: [n, k] → [n, k].
    """

    def __init__(self, center: Any, scale: Any, heavy: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.center, self.scale, self.heavy = (list(map(float, v)) for v in (center, scale, heavy))
        self.built = True

    @classmethod
    def of(cls, condition: np.ndarray, dtype: str) -> Standardize:
        """Fits the layer to the training rows [n, k] of a condition. A constant column becomes zero."""
        median, robust = robust_moments(condition)
        heavy = (robust > 0) & (np.abs(condition - median).max(axis=0) > HEAVY * robust)
        deviation = condition.std(axis=0)
        scale = np.where(heavy, robust, np.where(deviation > 0, deviation, 1.0))
        return cls(np.where(heavy, median, condition.mean(axis=0)), scale, heavy, dtype=dtype)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        z = (inputs - tf.constant(self.center, inputs.dtype)) / tf.constant(self.scale, inputs.dtype)
        return tf.where(tf.constant(self.heavy) > 0, asinh(z), z)

    def get_build_config(self) -> dict[str, Any]:
        return {"input_shape": (None, len(self.center))}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Builds nothing."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"center": self.center, "scale": self.scale, "heavy": self.heavy}


def _bounds(x: np.ndarray, support: Any) -> tuple[np.ndarray, np.ndarray]:
    d = x.shape[1]
    if support is None:
        return np.full(d, -np.inf), np.full(d, np.inf)
    if not isinstance(support, (tuple, list)) or len(support) != 2:
        raise TypeError(f"`support` must be a pair (low, high) of numbers or of arrays [d]; got {support!r}.")
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
    outside = np.flatnonzero(((x < low) | (x > high)).any(axis=1))
    if outside.size:
        raise ValueError(
            f"`x` leaves its `support` in {outside.size} row(s): {outside[:5].tolist()}. "
            "Widen the support or drop them."
        )
    return low, high


def _refuse_constant(x: np.ndarray) -> None:
    constant = np.flatnonzero(x.max(axis=0) == x.min(axis=0))
    if constant.size:
        listed = ", ".join(f"{i} (always {x[0, i]:g})" for i in constant[:5])
        raise ValueError(f"`x` has constant column(s), which have no density: {listed}. Drop them.")


def refuse_unresolved(name: str, table: np.ndarray, dtype: Any) -> None:
    """Raises `ValueError` if a column varies by less than `dtype` resolves, or is too large or small for it."""
    limits = np.finfo(tf.as_dtype(dtype).as_numpy_dtype)
    median, robust = robust_moments(table)
    deviation = table.std(axis=0)
    spread = np.minimum(robust, deviation)
    lost = (spread < 50 * limits.eps * np.abs(median)) | (spread < 10 * limits.tiny)
    lost = np.flatnonzero((lost & (deviation > 0)) | (np.abs(table).max(axis=0) > limits.max / 100))
    if lost.size:
        i = lost[0]
        raise ValueError(
            f"`{name}` has column(s) that {limits.dtype} can't resolve: {lost[:5].tolist()}; column {i} lies around "
            f"{median[i]:g} and varies by {spread[i]:g}. Subtract a constant from it or rescale it first."
        )


def _sample_of(column: np.ndarray) -> np.ndarray:
    """At most 200,000 evenly spaced values of a column."""
    return column[:: -(-len(column) // 200_000)]


def _step(column: np.ndarray) -> float:
    """The grid spacing of a column whose values repeat on a grid, else 0."""
    column = _sample_of(column)
    values = np.unique(column)
    if len(values) > 0.5 * len(column) or len(values) < 2:
        return 0.0
    gaps = np.diff(values)
    step = gaps.min()
    rounding = 4 * np.finfo(np.float32).eps * np.abs(values).max()  # the values may have been float32
    if step < 10 * rounding and (values != np.round(values)).any():
        return 0.0
    multiples = gaps / step
    tolerance = max(1e-3, min(0.1, rounding / step))
    return float(step) if np.abs(multiples - np.round(multiples)).max() < tolerance else 0.0


def _warn_of_atoms(x: np.ndarray, step: np.ndarray) -> None:
    for i in np.flatnonzero(step == 0):
        column = _sample_of(x[:, i])
        values, counts = np.unique(column, return_counts=True)
        share = counts.max() / len(column)
        if share > 0.1 and counts.max() > 10:
            warnings.warn(
                f"Column {i} is {values[counts.argmax()]:g} in {share:.0%} of the rows. A density has no value at such "
                "an atom: its log_prob there can grow without bound. Model these rows apart, or leave the column out.",
                UserWarning,
                stacklevel=4,
            )
