"""A network whose outputs vanish at the poles of a sphere."""

from __future__ import annotations

from typing import Any

import keras

from tfp_nvp.conditioners._conditioner import Conditioner, call_network


@keras.saving.register_keras_serializable("tfp_nvp")
class Polar(Conditioner):
    """(1 − h²) · network(h, condition): a map shaped by it is the identity at the poles, where all longitudes meet.

    Shapes: heights [n, 1] and condition [n, ...] → [n, num_outputs].
    """

    def __init__(self, network: keras.layers.Layer, *, num_outputs: int | None = None, **kwargs: Any):
        super().__init__(num_outputs, **{"dtype": network.dtype_policy, "autocast": False, **kwargs})
        self.network = network

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        self.network.num_outputs = self._known_outputs()
        self.network.build(*([inputs_shape] if condition_shape is None else [inputs_shape, condition_shape]))
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        outputs = call_network(self.network, inputs, condition)
        return keras.ops.cast((1.0 - inputs) * (1.0 + inputs), outputs.dtype) * outputs

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Polar:
        """The layer of `get_config`."""
        return cls(**config | {"network": keras.saving.deserialize_keras_object(config["network"])})
