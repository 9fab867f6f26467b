"""Networks whose outputs for an element depend on the elements before it only."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from tfp_nvp import checks, masks
from tfp_nvp.conditioners._conditioner import Conditioner
from tfp_nvp.conditioners._joining import join, joined_size
from tfp_nvp.conditioners._masked_dense import MaskedDense

#: (layer, its inputs) → its outputs, and the condition's contribution to its units, or None.
Apply: TypeAlias = Callable[[MaskedDense, Any], tuple[Any, Any]]


class MaskedNetwork(Conditioner, abc.ABC):
    """The base of masked networks: degrees, order, and the condition, on which every unit may depend.

    A subclass makes `hidden_layers` and their `condition_layers` and composes them in `evaluate`, which serves both a
    full pass and the incremental solution of `Autoregressive`.

    Args:
      num_outputs: raw numbers per event, p times its size d; None for as many as its layer needs.
      activation: a Keras activation that works on each number alone.
      order: a permutation of range(d), the elements from first to last: raw numbers of
        element `order[i]` depend on the elements `order[:i]`. None for 0, 1, …, d − 1.
      kernel_regularizer: a Keras regularizer of the hidden layers' matrices.
      seed: an int for reproducible initial weights.

    Shapes: inputs [n, d] and condition [n, ...] → [n, num_outputs], all first numbers of
    the d elements, then all second ones.
    """

    #: Masked layers; a layer's inputs are the units of the one before it.
    hidden_layers: list[MaskedDense]
    #: For each of `hidden_layers`, and once built for the outputs: the layer from the condition to its units, or None.
    condition_layers: list[keras.layers.Dense | None]

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        activation: Any,
        order: Sequence[int] | None,
        kernel_regularizer: Any,
        seed: int | None,
        **kwargs: Any,
    ):
        super().__init__(num_outputs, seed=seed, **kwargs)
        self.activation = _elementwise("activation", keras.activations.get(activation))
        self.order = None if order is None else checks.permutation("order", order)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    @abc.abstractmethod
    def evaluate(self, inputs: Any, apply: Apply) -> Any:
        """The outputs, by `apply` for the masked layers and by functions of each unit alone."""

    @property
    def masked_layers(self) -> list[MaskedDense]:
        """All masked layers, from that of the elements to that of the outputs."""
        return [*self.hidden_layers, self.output_layer]

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        d = joined_size(inputs_shape)
        if self._known_outputs() % d:
            raise ValueError(
                f"`num_outputs` must be a multiple of the event's size {d}, as every element gets as many; "
                f"got {self.num_outputs}."
            )
        if self.order is not None and len(self.order) != d:
            raise ValueError(f"`order` must name each of {d} elements once; got {list(self.order)}.")
        # A unit of degree 0 depends on a condition only.
        lowest = 1 if condition_shape is None else 0
        self.output_layer = MaskedDense(self.num_outputs, kernel_initializer="zeros", dtype=self.dtype_policy)
        elements = degrees = np.arange(1, d + 1)
        for layer in self.hidden_layers:
            below, degrees = degrees, masks.hidden_degrees(layer.units, d, lowest=lowest)
            layer.connect(below, degrees)
        self.output_layer.connect(degrees, elements, strict=True, num_planes=self.num_outputs // d)
        if condition_shape is None:
            self.condition_layers = []
        else:
            self.condition_layers.append(self._of_condition(self._known_outputs(), 0, kernel_initializer="zeros"))
        for of_condition in self.condition_layers:
            if of_condition is not None:
                of_condition.build((None, joined_size(condition_shape)))
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        contexts = self.contexts(condition)
        outputs = self.evaluate(self.sort(join(inputs)), lambda layer, h: (layer(h), contexts.get(layer)))
        return self._unsort_planes(outputs)

    def contexts(self, condition: Any) -> dict[MaskedDense, Any]:
        """The contribution of the condition [n, ...] to the units of each layer, [n, units]."""
        if (condition is None) == bool(self.condition_layers):
            had = "with" if self.condition_layers else "without"
            raise ValueError(f"{self.name} was built {had} a condition; call it {had} one too.")
        if condition is None:
            return {}
        pairs = zip(self.masked_layers, self.condition_layers, strict=True)
        return {layer: of_condition(join(condition)) for layer, of_condition in pairs if of_condition is not None}

    def sort(self, elements: Any) -> Any:
        """`elements` [..., d] in the network's order."""
        return elements if self.order is None else _take(elements, np.array(self.order))

    def unsort(self, elements: Any) -> Any:
        """`elements` [..., d] of the network's order, in that of the event."""
        return elements if self.order is None else _take(elements, np.argsort(self.order))

    def _unsort_planes(self, outputs: Any) -> Any:
        if self.order is None:
            return outputs
        d = len(self.order)
        planes = keras.ops.reshape(outputs, (-1, self.num_outputs // d, d))
        return keras.ops.reshape(self.unsort(planes), (-1, self.num_outputs))

    def _masked(self, units: int, index: int, initializer: Any = None) -> MaskedDense:
        """A hidden layer, the `index`-th to be seeded."""
        return MaskedDense(
            units,
            kernel_initializer=initializer or self._glorot(index),
            kernel_regularizer=self.kernel_regularizer,
            dtype=self.dtype_policy,
        )

    def _of_condition(self, units: int, index: int, **arguments: Any) -> keras.layers.Dense:
        """A dense layer from the condition to a masked layer's units, the `index`-th to be seeded."""
        arguments = {"kernel_initializer": self._glorot(index), "use_bias": False, **arguments}
        return keras.layers.Dense(units, dtype=self.dtype_policy, **arguments)


def _elementwise(name: str, activation: Any) -> Any:
    """`activation`, if it is a function of each number alone: blocks of units are evaluated transposed."""
    values = np.random.default_rng(0).normal(size=(2, 3))
    transposed = None if isinstance(activation, keras.layers.Layer) else np.asarray(activation(values.T)).T
    if transposed is None or not np.allclose(np.asarray(activation(values)), transposed):
        raise ValueError(f"`{name}` must be a function of each number alone, such as 'relu'; got {activation!r}.")
    return activation


def _take(values: Any, order: np.ndarray) -> Any:
    """`values[..., order]`; a flip is faster than a gather."""
    if (order == np.arange(len(order))[::-1]).all():
        return keras.ops.flip(values, axis=-1)
    return keras.ops.take(values, order, axis=-1)
