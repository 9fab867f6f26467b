"""Angles as a conditioner sees them."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from tfp_nvp import checks
from tfp_nvp.conditioners._conditioner import Conditioner, call_network


@keras.saving.register_keras_serializable("tfp_nvp")
class PeriodicFeatures(Conditioner):
    """A network that sees its periodic inputs as cosine and sine.

        outputs = network([other inputs, cos(2π v / period), sin(2π v / period)], condition),  v the periodic ones

    So raw numbers are continuous, with all derivatives, where an angle jumps from one end of its interval to the other.

    Args:
      network: a conditioner, or any Keras layer of inputs [n, ..., k + number of periodic inputs]. It is given
        `num_outputs`. Masked networks, which count their inputs, do not fit.
      periodic: booleans [k], which inputs are periodic.
      period: of all of them; 2π by default, for radians.

    Shapes: inputs [n, ..., k] and condition [n, ...] → [n, ..., num_outputs].

    Raises:
      TypeError, ValueError: if an argument is of another type, or no input is periodic.

    >>> from tfp_nvp.conditioners import MLP
    >>> PeriodicFeatures(MLP(hidden_units=[8]), [True, False], num_outputs=4)(keras.ops.ones([3, 2])).shape
    TensorShape([3, 4])
    """

    def __init__(
        self,
        network: keras.layers.Layer,
        periodic: Any,
        *,
        period: float = 2.0 * math.pi,
        num_outputs: int | None = None,
        **kwargs: Any,
    ):
        checks.instance("network", network, keras.layers.Layer, "tfp_nvp.conditioners.MLP()")
        mask = checks.mask("periodic", periodic, 1)
        if not mask.any():
            raise ValueError(f"`periodic` must be True for some inputs; got {mask.tolist()}.")
        # The network casts what it is given; angles in lower precision would be steps.
        super().__init__(num_outputs, **{"dtype": network.dtype_policy, "autocast": False, **kwargs})
        self.network, self.periodic = network, mask.tolist()
        self.period = checks.positive("period", period)

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        if inputs_shape[-1] != len(self.periodic):
            raise ValueError(
                f"`periodic` must have one boolean for each of {inputs_shape[-1]} inputs; got {len(self.periodic)}."
            )
        if isinstance(self.network, Conditioner) and self.network.num_outputs is None:
            self.network.num_outputs = self._known_outputs()
        if not self.network.built and isinstance(self.network, Conditioner):
            shapes = [(*inputs_shape[:-1], len(self.periodic) + sum(self.periodic)), condition_shape]
            self.network.build(*shapes[: 1 if condition_shape is None else 2])
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        angles = keras.ops.take(inputs, np.flatnonzero(self.periodic), axis=-1) * (2.0 * math.pi / self.period)
        others = keras.ops.take(inputs, np.flatnonzero(np.logical_not(self.periodic)), axis=-1)
        features = keras.ops.concatenate([others, keras.ops.cos(angles), keras.ops.sin(angles)], axis=-1)
        return call_network(self.network, features, condition)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PeriodicFeatures:
        """The layer of `get_config`."""
        return cls(**config | {"network": keras.saving.deserialize_keras_object(config["network"])})
