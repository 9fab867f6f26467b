"""Type specs of a flow, which `isinstance` takes for a composite tensor."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp


class FlowSpec(tf.TypeSpec):
    """A flow as a composite of one component: a `tf.Module` with the flow's variables.

    `isinstance(flow, tfd.TransformedDistribution)` makes `isinstance(flow, CompositeTensor)` true
    as well, so `tf.Module` looks for variables within a flow that is an attribute through its type
    spec. It has no other use: as an argument of a `tf.function` a flow is a `FlowType`.
    """

    def __init__(self, distribution: tfp.distributions.Distribution):
        self._distribution = distribution

    @property
    def value_type(self) -> type:
        return type(self._distribution)

    @property
    def _component_specs(self) -> list[tf.TypeSpec]:
        return []

    def _to_components(self, value: Any) -> list[tf.Module]:
        return [value._seen_by_tensorflow]

    def _from_components(self, components: Any) -> Any:
        return self._distribution

    def _serialize(self) -> tuple:
        return (self._distribution,)


class FlowType(tf.types.experimental.TraceType):
    """A flow as an argument of a `tf.function`: one trace for each flow, which reads the weights when it runs."""

    def __init__(self, flow: Any):
        self._flow = flow

    def is_subtype_of(self, other: tf.types.experimental.TraceType) -> bool:
        return self == other

    def most_specific_common_supertype(self, others: Any) -> FlowType | None:
        return self if all(self == other for other in others) else None

    def placeholder_value(self, placeholder_context: Any) -> Any:
        return self._flow

    def to_tensors(self, value: Any) -> list:
        return []  # weights are captured, as in any function that uses a flow

    def from_tensors(self, tensors: Any) -> Any:
        return self._flow

    def flatten(self) -> list:
        return []

    def cast(self, value: Any, cast_context: Any) -> Any:
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlowType) and self._flow is other._flow

    def __hash__(self) -> int:
        return id(self._flow)
