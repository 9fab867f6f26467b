"""The protocol of distributions that can be fitted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._captured import default_name
from tfp_nvp._module import Module
from tfp_nvp.distributions.recipe import recipe_of

tfd = tfp.distributions


class Fittable(Module):
    """The methods that models, exports and recipes need of a distribution, besides TFP's own.

    `Density` is the base of ours; `as_fittable` adapts any other distribution.
    """

    event_shape: tf.TensorShape

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        """Shape of one condition; None for a distribution that takes none."""
        return None

    @property
    def density_dtype(self) -> tf.DType:
        """The dtype of log-densities."""
        return self.dtype if self.dtype.is_floating else tf.float32

    @property
    def condition_dtype(self) -> tf.DType | None:
        """The dtype that conditions are cast to; None if the distribution takes them as they are."""
        return self.density_dtype

    @property
    def levels(self) -> int | None:
        """How many integers an element can be; None for real numbers."""
        return None

    def as_flow(self) -> Any:
        """The flow of real numbers that this is or holds; None if there is none."""
        return None

    def recipe(self) -> dict[str, Any]:
        """The `name` of its recipe, and the recipe's `arguments` as JSON values, for a card."""
        return recipe_of(type(self), self.parameters)

    def parts(self) -> list[Module]:
        """Its layers from the data to the base, as a summary shows them."""
        return [self]

    @property
    def is_initialized(self) -> bool:
        """Whether every data-dependent layer has been initialized."""
        return True

    def initialize(self, x: Any, condition: Any = None) -> None:
        """Sets data-dependent layers (ActNorm) from a batch x [n, *event_shape]. Most distributions have none."""

    def check_values(self, name: str, x: np.ndarray) -> None:
        """Raises `ValueError` if an array holds values that no event can have."""

    def as_events(self, x: tf.Tensor) -> tf.Tensor:
        """A batch [n, *event_shape] of a training step in the dtype of events; its shape is checked in the graph."""
        return tf.cast(tf.ensure_shape(x, [None, *self.event_shape]), self.dtype)

    def as_conditions(self, condition: tf.Tensor) -> tf.Tensor:
        """A batch [n, *condition_shape] of a training step, whose shape is checked in the graph."""
        return tf.ensure_shape(condition, [None, *(self.condition_shape or ())])

    def in_bits(self, nll: Any) -> Any:
        """A negative log-likelihood in nats as bits per dimension: divided by d ln 2, d the size of an event.

        Raises:
          ValueError: if the size of events is not known in advance.
        """
        size = self.event_shape.num_elements()
        if not size:
            raise ValueError(f"Bits per dimension need events of a known size; their shape is {self.event_shape}.")
        return nll / (size * math.log(2.0))

    def metrics_of(self, nll: Any) -> dict[str, Any]:
        """Metrics besides the negative log-likelihood in nats that follow from it, by name."""
        return {}


class Density(Fittable, tfd.Distribution):
    """The base of our distributions: a Keras layer that is a `tfd.Distribution` too.

    Args:
      dtype: of events.
      reparameterization_type: TFP's: whether samples have gradients.
      name: name of its ops; by default that of its class, which joint distributions count as not given.
    """

    def __init__(self, *, dtype: Any, reparameterization_type: Any, name: str | None = None):
        dtype = tf.as_dtype(dtype)
        Fittable.__init__(self, name, dtype)
        tfd.Distribution.__init__(
            self,
            dtype=dtype,
            reparameterization_type=reparameterization_type,
            validate_args=False,
            allow_nan_stats=True,
            name=name,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{self.name} is a distribution; call its methods, such as `log_prob(x)`.")

    def log_prob(
        self, value: Any, name: str = "log_prob", *, condition: Any = None, seed: Any = None, **kwargs: Any
    ) -> tf.Tensor:
        """log p(x | c) in nats.

        Args:
          value: x [..., *event_shape].
          name: name of its ops.
          condition: [..., *condition_shape], whose batch dimensions broadcast with x's; None for a distribution that
            takes none.
          seed: an int or a stateless seed [2], from which a flow whose bijector has no exact log-det draws an unbiased
            estimate; by default its random numbers are fixed. Other flows give the same for every seed.
          kwargs: further arguments of a distribution of one's own.

        Returns:
          [...].

        Raises:
          TypeError, ValueError: for a missing or unexpected condition, a wrong shape, or another kind of seed.
        """
        given = {key: argument for key, argument in (("condition", condition), ("seed", seed)) if argument is not None}
        return super().log_prob(value, name=name, **given, **kwargs)

    def bits_per_dim(self, x: Any, condition: Any = None, **kwargs: Any) -> tf.Tensor:
        """−log₂ p(x) / d, bits per dimension: [..., *event] → [...]; `kwargs` are those of `log_prob`.

        Of integers (`Dequantized`) it is the mean length of their code, and never negative. Of real numbers it is a
        density in the units of the data: it may be negative, and data times a has log₂ a more. So a density of pixels
        scaled from 0, …, 255 to [0, 1] has 8 bits fewer than the integers.

        References: Theis, van den Oord & Bethge (2016), arXiv:1511.01844, section 3.1.
        """
        keywords = {} if condition is None else {"condition": condition}
        return self.in_bits(-self.log_prob(x, **keywords, **kwargs))

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments by name; a name that equals its default is None, not given, as TFP counts it."""
        return self._captured | ({} if self.explicit_name else {"name": None})

    @property
    def explicit_name(self) -> str | None:
        """The name that the constructor was given; None if it is the default."""
        name = self._captured.get("name")
        return None if name == default_name(type(self)) else name

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict:
        return {}

    @classmethod
    def parameter_properties(cls, dtype: Any = tf.float32, num_classes: Any = None) -> dict:
        """No parameters to slice or broadcast."""
        return {}  # TFP wraps the one above in every subclass with an `__init__`, to log a warning


class StockDistribution(Fittable):
    """An adapter that makes any other `tfd.Distribution` a `Fittable`.

    Args:
      distribution: TFP's, or a user's own, which may have a `condition_shape`, `is_initialized` and `initialize`.
    """

    def __init__(self, distribution: tfd.Distribution):
        super().__init__(distribution.name.replace("/", "_").strip("_"), distribution.dtype)
        self.distribution = distribution

    @property
    def dtype(self) -> Any:
        return self.distribution.dtype

    @property
    def event_shape(self) -> tf.TensorShape:
        return self.distribution.event_shape

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        return getattr(self.distribution, "condition_shape", None)

    @property
    def condition_dtype(self) -> None:
        return None  # a user's own may embed integers

    def recipe(self) -> dict[str, Any]:
        return recipe_of(type(self.distribution), self.distribution.parameters)

    @property
    def is_initialized(self) -> bool:
        return getattr(self.distribution, "is_initialized", True)

    def initialize(self, x: Any, condition: Any = None) -> None:
        if not self.is_initialized:
            self.distribution.initialize(x, condition)


def as_fittable(distribution: tfd.Distribution) -> Any:
    """`distribution` itself if it is ours, else in an adapter."""
    checks.instance("distribution", distribution, tfd.Distribution, "tfp_nvp.RealNVP([2])")
    if not isinstance(distribution.dtype, tf.DType):
        raise ValueError(
            f"`distribution` must have one event of one dtype; {distribution.name} has {distribution.dtype}. "
            "Make one vector of its parts, as tfd.Blockwise does."
        )
    return distribution if isinstance(distribution, Fittable) else StockDistribution(distribution)
