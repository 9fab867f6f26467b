"""Several networks side by side as one conditioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp.conditioners._conditioner import Conditioner, call_network


@keras.saving.register_keras_serializable("tfp_nvp")
class Separate(Conditioner):
    """Networks of the same inputs, each of which computes an equal share of the raw numbers.

        outputs = [networks[0](inputs, condition), networks[1](inputs, condition), …]

    Raw numbers come as all first numbers of the elements, then all second ones. So with as many networks as the
    transformer has numbers, each of these has a network of its own: for `Affine` the first one computes the
    translation t, the second one the scale r.

    Args:
      networks: conditioners, or any Keras layers; each conditioner is given its `num_outputs`.
      num_outputs: raw numbers of all networks together; None for as many as its layer needs.

    Shapes: inputs [n, ..., k] and condition [n, ...] → [n, ..., num_outputs].

    Raises:
      TypeError, ValueError: if there is no network, or one is no Keras layer; when built, if the raw numbers can't be
        shared equally.

    >>> from tfp_nvp.conditioners import MLP
    >>> Separate([MLP(), MLP(activation="tanh")], num_outputs=4)(keras.ops.ones([3, 2])).shape
    TensorShape([3, 4])

    References: Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP", arXiv:1605.08803,
    equation 7, whose s and t are functions of their own.
    """

    def __init__(self, networks: Sequence[keras.layers.Layer], *, num_outputs: int | None = None, **kwargs: Any):
        networks = checks.sequence("networks", networks, keras.layers.Layer, "Keras layers")
        if not networks:
            raise ValueError("`networks` must hold at least one Keras layer; got none.")
        # Each network casts what it is given.
        super().__init__(num_outputs, **{"dtype": networks[0].dtype_policy, "autocast": False, **kwargs})
        self.networks = networks

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        share, left = divmod(self._known_outputs(), len(self.networks))
        if left:
            raise ValueError(
                f"`networks` must share {self.num_outputs} raw numbers equally; there are {len(self.networks)}."
            )
        shapes = (inputs_shape,) if condition_shape is None else (inputs_shape, condition_shape)
        for network in self.networks:
            if isinstance(network, Conditioner) and network.num_outputs is None:
                network.num_outputs = share
            if isinstance(network, Conditioner) and not network.built:
                network.build(*shapes)
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        return keras.ops.concatenate([call_network(network, inputs, condition) for network in self.networks], axis=-1)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Separate:
        """The layer of `get_config`."""
        return cls(
            **config | {"networks": [keras.saving.deserialize_keras_object(each) for each in config["networks"]]}
        )
