"""What a translation asks of a TensorFlow graph: the functions it calls, what is needed, and results of operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

#: Arguments that `tf.raw_ops` has under another name.
_RENAMED = dict.fromkeys(("split_dim", "reduction_indices", "dim", "squeeze_dims"), "axis")


def function(op: Any, attribute: str) -> Any:
    """The graph of a function that an operation calls."""
    return op.graph._get_function(op.get_attr(attribute).name).graph


def execute(op: Any, inputs: Sequence[Any]) -> list[np.ndarray]:
    """Executes an operation eagerly on other inputs."""
    definition = op.op_def
    inferred = {
        name
        for argument in definition.input_arg
        for name in (argument.type_attr, argument.number_attr, argument.type_list_attr)
    }
    attributes: dict[Any, Any] = {
        attr.name: op.get_attr(attr.name) for attr in definition.attr if attr.name not in inferred
    }
    if op.type == "Const":
        return [tf.make_ndarray(attributes["value"])]
    rest = list(inputs)
    arguments: dict[Any, Any] = {}
    for argument in definition.input_arg:
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
            arguments[argument.name], rest = rest[:count], rest[count:]
        else:
            arguments[argument.name] = rest.pop(0)
    if op.type == "Unpack":
        attributes["num"] = len(op.outputs)
    with tf.init_scope(), tf.device("CPU"):
        found = getattr(tf.raw_ops, op.type)(
            **{_RENAMED.get(name, name): value for name, value in (arguments | attributes).items()}
        )
    return [np.asarray(value) for value in (found if isinstance(found, (list, tuple)) else [found])]


def argument_names(op: Any) -> list[str]:
    """The name of the argument of each input."""
    return [
        argument.name
        for argument in op.op_def.input_arg
        for _ in range(op.get_attr(argument.number_attr) if argument.number_attr else 1)
    ]


def needed(ends: Sequence[tf.Tensor]) -> set[str]:
    """The names of the tensors that others depend on, themselves included."""
    waiting, names = list(ends), set()
    while waiting:
        tensor = waiting.pop()
        if tensor.name not in names:
            names.add(tensor.name)
            inputs = list(tensor.op.inputs)
            waiting += [inputs[tensor.value_index]] if tensor.op.type == "IdentityN" else inputs
    return names


def origin(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor that this one is a copy of."""
    while tensor.op.type in ("Identity", "IdentityN"):
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor
