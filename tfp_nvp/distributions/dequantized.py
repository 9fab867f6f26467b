"""The distribution of integers by a density of real numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, tables
from tfp_nvp._captured import construct, refuse
from tfp_nvp._module import Module
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import ensure_ends_in
from tfp_nvp.distributions._bound import Bound
from tfp_nvp.distributions.flow import Flow, stateless

tfd = tfp.distributions

#: The interval that integers are scaled to.
UNIT = Range(0.0, 1.0)


class Dequantized(Bound):
    """Integers 0, …, levels − 1 as real numbers that were rounded down.

        P(x) = ∫ p((x + u) / levels) du / levels^d  over u in [0, 1)^d

    with p the density of `flow`, over events in the unit interval, so that the probabilities of all integers sum to
    one, but for what the flow sends beyond the numbers next to 0 and 1 (see `Logit` and `Quantile`): next to nothing,
    unless its latents are far wider than those of a standard normal or logistic distribution. `log_prob` draws u from
    the noise q(u | x), uniform or learned, and gives

        log (1 / S) Σₛ p((x + uₛ) / levels) / (levels^d q(uₛ | x)),

    for S = `num_samples`: at S = 1, which is trained, a lower bound of log P(x) on average (Theis et al. 2016;
    Ho et al. 2019), which grows tighter with S (Burda et al. 2016). It is random; give a `seed` to repeat it.

    Args:
      flow: a `Flow` that reaches nothing beyond [0, 1] (`flow.data_range`): `SubscaleFlow`, `Glow(num_bins=levels)`,
        `ImageRealNVP` and `FlowPlusPlus` as they are by default, every `preset`, or any flow with
        `bijectors.Logit(0.0)` or `Quantile` next to the data.
      levels: number of integers, from 2 to 65,536: more can't be told apart in float32.
      noise: None for uniform noise; or a `Flow` over events of the same shape, whose condition is an
        event too. Through a sigmoid it is q(u | x); it is given x scaled to (−½, ½), and is trained with
        `flow`. Give it a base with tails such as those of `tfd.Logistic`: with a Gaussian's, q vanishes so
        fast at the bounds that the ratios p / q vary without limit.

    Raises:
      TypeError, ValueError: if the flow reaches beyond [0, 1], or flow and noise do not fit; from `log_prob` in eager
        mode, for values that are not integers of the range.

    >>> from tfp_nvp.flows import Glow
    >>> glow = Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=17, seed=0)
    >>> digits = Dequantized(glow, levels=17)
    >>> digits.sample(2, seed=1).dtype
    tf.int32

    References: Theis, van den Oord & Bethge (2016), arXiv:1511.01844, section 3.1; Ho, Chen, Srinivas, Duan &
    Abbeel (2019), "Flow++", arXiv:1902.00275, section 3.1; Burda, Grosse & Salakhutdinov (2016), arXiv:1509.00519.
    """

    def __init__(self, flow: Flow, levels: int = 256, noise: Flow | None = None, *, name: str | None = None):
        checks.instance("flow", flow, Flow, "tfp_nvp.Glow([28, 28, 1])")
        self._levels = checks.integer("levels", levels, 2, 2**16, hint="Model finer values as real numbers.")
        if not flow.data_range.is_within(UNIT):
            refuse(_beyond(flow, self._levels))
        if noise is not None:
            checks.instance("noise", noise, Flow, "tfp_nvp.Glow([28, 28, 1], condition_shape=[28, 28, 1])")
            event = flow.event_shape.as_list()
            wanted = (event, event)
            noise_shapes = (noise.event_shape.as_list(), list(noise.condition_shape or ()))
            if noise_shapes != wanted or noise.dtype != flow.dtype:
                raise ValueError(
                    f"`noise` must have the flow's event shape {event} as event shape and as condition shape, and its "
                    f"dtype {flow.dtype.name}; it has {noise_shapes[0]}, {noise_shapes[1]} and {noise.dtype.name}."
                )
        super().__init__(dtype=tf.int32, reparameterization_type=tfd.NOT_REPARAMETERIZED, name=name)
        self.flow, self.noise = flow, noise

    def as_flow(self) -> Flow:
        return self.flow

    @property
    def levels(self) -> int:
        return self._levels

    @property
    def density_dtype(self) -> tf.DType:
        return self.flow.dtype

    def parts(self) -> list[Module]:
        return [*self.flow.parts(), *([] if self.noise is None else [self.noise])]

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        return self.flow.condition_shape

    @property
    def is_initialized(self) -> bool:
        """Whether every data-dependent layer has been initialized."""
        return self.flow.is_initialized and (self.noise is None or self.noise.is_initialized)

    def initialize(self, x: Any, condition: Any = None) -> None:
        """Sets data-dependent layers (ActNorm) of flow and noise from a batch of integers [n, *event_shape]."""
        x = self.as_integers(x)
        u = tf.random.stateless_uniform(x.shape, (0, 0), 1e-3, 1.0 - 1e-3, self.flow.dtype)
        if self.noise is not None:
            self.noise.initialize(tf.math.log(u) - tf.math.log1p(-u), self.centered(x))
        self.flow.initialize((tf.cast(x, u.dtype) + u) / self.levels, condition)

    def check_values(self, name: str, x: np.ndarray) -> None:
        self.as_integers(x, name)

    def as_events(self, x: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(x, [None, *self.event_shape])  # a cast would hide numbers that are no integers

    def metrics_of(self, nll: Any) -> dict[str, Any]:
        return {"bits_per_dim": self.in_bits(nll)}

    def dequantize(self, x: Any, seed: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """(x + u) / levels, in (0, 1), of integers x [..., *event], and log q(u | x) [...], 0 for uniform noise."""
        x = self.as_integers(x)
        seed = tfp.random.sanitize_seed(stateless(seed))
        if self.noise is None:
            u = tf.random.stateless_uniform(tf.shape(x), seed, dtype=self.flow.dtype, alg="philox")
            return self.add_noise(x, u), tf.zeros(tf.shape(x)[: x.shape.rank - self.event_shape.rank], u.dtype)
        return self.add_learned_noise(x, *self.noise.sample_and_log_prob(seed=seed, condition=self.centered(x)))

    def add_noise(self, x: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        """(x + u) / levels, in (0, 1), of integers x and numbers u in [0, 1]."""
        # Rounding must not move a value to another level, nor to the bounds, where a flow of [0, 1] has no density.
        resolution = 4.0 * np.finfo(u.dtype.as_numpy_dtype).eps
        x = tf.cast(tf.clip_by_value(x, 0, self.levels - 1), u.dtype)
        lowest, highest = tf.maximum(x * (1.0 + resolution), resolution), (x + 1.0) * (1.0 - resolution)
        return tf.clip_by_value(x + u, lowest, highest) / self.levels

    def add_learned_noise(self, x: tf.Tensor, v: tf.Tensor, log_q: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(x + u) / levels and log q(u | x), of a draw v of `noise` and its log-density, u = sigmoid(v)."""
        slope = tf.math.log_sigmoid(v) + tf.math.log_sigmoid(-v)  # of the sigmoid
        return self.add_noise(x, tf.sigmoid(v)), log_q - tf.reduce_sum(slope, axis=self._axes)

    def bound(self, x: tf.Tensor, y: tf.Tensor, log_q: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """log p(y) − d log levels − log q for y, log q as of `dequantize`: [...]; −∞ where x is out of range."""
        log_weight = self.flow.log_prob(y, condition=condition) - self._size * math.log(self.levels) - log_q
        return tf.where(self.is_possible(x), log_weight, tf.constant(-np.inf, log_weight.dtype))

    def is_possible(self, x: tf.Tensor) -> tf.Tensor:
        """Whether all integers of an event are in range: [..., *event] → [...]."""
        return tf.reduce_all((x >= 0) & (x < self.levels), axis=self._axes)

    def encode(self, x: Any, condition: Any = None, seed: Any = None) -> tuple[tf.Tensor, None]:
        """Latents of integers, with noise drawn from `seed`: [..., *event] → [..., *z event]; they have no log-det."""
        x = self.as_integers(x)
        return self.possible_latents(x, self.flow.encode(self.dequantize(x, seed)[0], condition)[0]), None

    def possible_latents(self, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """The latents z of x; NaN, in a graph, where x is out of range."""
        if tf.executing_eagerly():  # `as_integers` has checked x
            return z
        possible = self.is_possible(x)
        possible = tf.reshape(
            possible, tf.concat([tf.shape(possible), [1] * self.flow.distribution.event_shape.rank], 0)
        )
        return tf.where(possible, z, tf.constant(np.nan, z.dtype))

    def decode(self, z: Any, condition: Any = None) -> tuple[tf.Tensor, None]:
        """The integers of latents: [..., *z event] → [..., *event]; they have no log-det."""
        return self.quantize(self.flow.decode(z, condition)[0]), None

    def given(self, condition: Any) -> Dequantized:
        """This distribution at one condition, whose batch becomes part of the batch shape; the noise is the same."""
        arguments = {"flow": self.flow.given(condition), "levels": self.levels, "noise": self.noise}
        return construct(Dequantized, arguments | {"name": self.explicit_name and f"{self.explicit_name}_given"})

    # TFP's hooks.

    def _event_shape(self) -> tf.TensorShape:
        return self.flow.event_shape

    def _event_shape_tensor(self) -> tf.Tensor:
        return self.flow.event_shape_tensor()

    def _batch_shape(self) -> tf.TensorShape:
        return self.flow.batch_shape

    def _batch_shape_tensor(self) -> tf.Tensor:
        return self.flow.batch_shape_tensor()

    def _as_values(self, x: Any) -> tf.Tensor:
        return self.as_integers(x)

    def _log_weights(self, x: tf.Tensor, condition: Any, seed: Any, num_samples: int) -> tf.Tensor:
        return self.bound(x, *self.dequantize(x, seed), condition)

    def _call_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_log_prob(self.as_integers(value), name, **kwargs)

    def _call_sample_n(self, sample_shape: Any, seed: Any, **kwargs: Any) -> tf.Tensor:
        return self.quantize(self.flow.sample(sample_shape, seed=seed, **kwargs))

    # Integers.

    @property
    def integer_dtype(self) -> tf.DType:
        """The smallest dtype of a client's integers: uint8, or int32 for more than 256 levels."""
        return tf.uint8 if self.levels <= 256 else tf.int32

    @property
    def _axes(self) -> list[int]:
        return list(range(-self.event_shape.rank, 0))

    @property
    def _size(self) -> int:
        return math.prod(self.event_shape.as_list())

    def as_integers(self, x: Any, name: str = "x") -> tf.Tensor:
        """`x` as int32 [..., *event]; in eager mode its values are checked."""
        of_tensors = any(map(tf.is_tensor, tf.nest.flatten(x)))
        x = tf.convert_to_tensor(x if of_tensors else tables.read(name, x).values)
        shape = self.event_shape
        x = ensure_ends_in(name, x, shape, f"the event shape {shape.as_list()}", self.name)
        if tf.executing_eagerly():
            values = x.numpy()
            bad = ~((values >= 0) & (values < self.levels) & (values == np.floor(values)))
            if bad.any():
                raise ValueError(
                    f"`{name}` must hold integers from 0 to levels − 1 = {self.levels - 1}; {values[bad][0]} is none."
                )
        if x.dtype.is_floating:  # in a graph: −1 is out of range too
            return tf.where(x == tf.floor(x), tf.cast(x, tf.int32), -1)
        if x.dtype in (tf.int64, tf.uint32, tf.uint64):  # a cast would wrap
            zero, levels = tf.zeros([], x.dtype), tf.cast(self.levels, x.dtype)
            return tf.where((x >= zero) & (x < levels), tf.cast(x, tf.int32), -1)
        return tf.cast(x, tf.int32)

    def quantize(self, y: tf.Tensor) -> tf.Tensor:
        """Numbers of the unit interval rounded down; 1, to which a sample may be rounded, is of the last level.

        Raises:
          ValueError: for NaN. In a graph it becomes level 0.
        """
        lost = tf.math.is_nan(y)
        if tf.executing_eagerly() and tf.reduce_any(lost):
            raise ValueError(
                f"{self.name} has NaN where integers should come of: are latents, condition and weights finite?"
            )
        y = tf.where(lost, tf.zeros_like(y), y)
        return tf.cast(tf.clip_by_value(tf.floor(y * self.levels), 0, self.levels - 1), tf.int32)

    def centered(self, x: tf.Tensor) -> tf.Tensor:
        """x scaled to (−½, ½): the condition of `noise`."""
        return (tf.cast(x, self.flow.dtype) + 0.5) / self.levels - 0.5


def _beyond(flow: Flow, levels: int) -> str:
    """Why a flow that leaves [0, 1] is none of integers, and what to do."""
    arguments = flow.parameters
    if "num_bins" in arguments:
        way_out = f"{type(flow).__name__}(..., num_bins={levels})"
    elif "alpha" in arguments:
        way_out = f"{type(flow).__name__}(..., alpha=0.0)"
    else:
        way_out = (
            "tfp_nvp.bijectors.Logit(0.0) next to the data, as in "
            "tfp_nvp.Flow(flow.distribution, Chain([Logit(0.0), flow.bijector]))"
        )
    return (
        f"`flow` must reach nothing beyond [0, 1], or the probabilities of the integers do not sum to 1; the data of "
        f"{flow.name} are {flow.data_range}. Use {way_out}."
    )
