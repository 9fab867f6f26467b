"""What TensorFlow asks of everything that `isinstance` takes for a composite tensor."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp


class FlowSpec(tf.TypeSpec):
    """A distribution as a composite of its variables.

    `isinstance(flow, tfd.TransformedDistribution)` makes `isinstance(flow, CompositeTensor)` true
    as well, so `tf.Module` looks for variables within a flow that is an attribute through its type
    spec. That is all it is for: a flow is used in a `tf.function`, never passed to one.
    """

    def __init__(self, distribution: tfp.distributions.Distribution):
        self._distribution = distribution

    @property
    def value_type(self) -> type:
        return type(self._distribution)

    @property
    def _component_specs(self) -> list[tf.TypeSpec]:
        return [tf.type_spec_from_value(variable) for variable in self._distribution.variables]

    def _to_components(self, value: Any) -> list[tf.Variable]:
        return list(value.variables)

    def _from_components(self, components: Any) -> Any:
        return self._distribution

    def _serialize(self) -> tuple:
        return (self._distribution,)
