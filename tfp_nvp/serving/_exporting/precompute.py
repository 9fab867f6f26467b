"""What a graph computes of the weights alone, computed once: when it is exported."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

MOST_IN_GRAPH = 1024  # numbers of a vector that becomes a constant: one operation, where a variable takes three
MOST_GROWTH = 4  # times the weights' bytes that may be stored in their place


def precompute(
    functions: Mapping[str, Any], but: Collection[tf.Variable] = ()
) -> tuple[dict[str, Any], list[tf.Variable]]:
    """Functions that compute nothing of weights alone, of those that do.

    The mask on a kernel, the inverse of a matrix, the exponential of a scale: none of them changes while a model
    is served. What the rest of a graph reads of them is stored instead: vectors as constants of the graph, all else
    as variables, each once for all functions. Variables that are not only read stay what they are. All stays as it
    is if the values take several times the room of the weights, or, with a warning, if a graph can't be divided.

    Args:
      functions: concrete functions of named tensors.
      but: more variables that stay.

    Returns:
      The functions, and the variables that were made for them.
    """
    graphs = [function.graph for function in functions.values()]
    fixed = _changing(graphs) | {id(variable.handle) for variable in but}
    stored: dict[Any, tf.Variable] = {}
    try:
        made = {name: _Precomputed(each.graph, fixed, stored).function(each) for name, each in functions.items()}
    except Exception as error:  # of operations unlike those here: a graph that does more work is right too
        warnings.warn(
            f"The exported graphs compute at every request what depends on weights alone: {error}", stacklevel=3
        )
        return dict(functions), []
    weights = {id(variable): variable for graph in graphs for variable in graph.variables}
    if _bytes(stored.values()) > MOST_GROWTH * _bytes(weights.values()):
        return dict(functions), []
    return made, list(stored.values())


def _bytes(variables: Iterable[tf.Variable]) -> int:
    return sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)


def _changing(graphs: Iterable[Any]) -> set[int]:
    """The ids of the handles of variables that are not only read in all of the graphs."""
    found = set()
    for graph in graphs:
        library = {each.signature.name: each for each in graph.as_graph_def().library.function}
        for outer, inner in graph.captures:
            uses = (
                (op.node_def, place)
                for op in inner.consumers()
                for place, given in enumerate(op.inputs)
                if given.name == inner.name
            )
            if not all(_only_reads(node, place, library) for node, place in uses):
                found.add(id(outer))
    return found


def _only_reads(node: Any, place: int, library: Mapping[str, Any]) -> bool:
    """Whether an operation only reads the variable whose handle is its input at `place`."""
    if node.op == "ReadVariableOp":
        return True
    called = [each for value in node.attr.values() for each in (value.func, *value.list.func) if each.name]
    if not called:
        return False
    place -= node.op in ("If", "StatelessIf", "Case", "StatelessCase")  # which of them is the first input
    for function in (library[each.name] for each in called):
        name = function.signature.input_arg[place].name
        uses = ((each, i) for each in function.node_def for i, given in enumerate(each.input) if given == name)
        if not all(_only_reads(each, i, library) for each, i in uses):
            return False
    return True


class _Precomputed:
    """A graph in two: what is of weights alone, and the rest.

    Args:
      graph: of a function.
      fixed: ids of the handles of variables that stay.
      stored: variables for values, by what makes these equal; more are added.
    """

    def __init__(self, graph: Any, fixed: Collection[int], stored: dict[Any, tf.Variable]):
        self._graph, self._stored = graph, stored
        handles = {id(v.handle): v for v in graph.variables if id(v.handle) not in fixed}
        self._weights = {inner.name: handles[id(outer)] for outer, inner in graph.captures if id(outer) in handles}
        known = _of_weights(graph, self._weights)
        ends = [*(_source(tensor).op for tensor in graph.outputs), *graph.control_outputs]
        self._rest = _needed(ends, known | {tensor.op.name for tensor in graph.inputs})
        read = [_source(tensor) for tensor in (*(each for op in self._rest for each in op.inputs), *graph.outputs)]
        self._edge = list({tensor.name: tensor for tensor in read if tensor.op.name in known}.values())

    def function(self, original: Any) -> Any:
        """A concrete function with the inputs and the results of the original."""
        specs, values = tf.nest.flatten(original.structured_input_signature), self._values()

        def call(**inputs: tf.Tensor) -> Any:
            given = {tensor.name: inputs[spec.name] for spec, tensor in zip(specs, self._graph.inputs, strict=False)}
            given |= {tensor.name: self._constant(tensor, value) for tensor, value in values}
            outputs = _imported(self._graph, self._rest, given, self._graph.outputs)
            return tf.nest.pack_sequence_as(original.structured_outputs, outputs)

        return tf.function(call, autograph=False).get_concrete_function(**{spec.name: spec for spec in specs})

    def _values(self) -> list[tuple[tf.Tensor, np.ndarray]]:
        """What the rest reads, and its values."""
        operations = _needed((tensor.op for tensor in self._edge), (), control=False)
        function = tf.function(lambda: _imported(self._graph, operations, {}, self._edge), autograph=False)
        with tf.device("CPU"):  # a GPU may round products to fewer bits
            return [(tensor, value.numpy()) for tensor, value in zip(self._edge, function(), strict=True)]

    def _constant(self, tensor: tf.Tensor, value: np.ndarray) -> tf.Tensor:
        """`value`, of `tensor`, from where it is stored."""
        if value.ndim < 2 and value.size <= MOST_IN_GRAPH:
            return tf.constant(value)
        if tensor.op.type == "ReadVariableOp":
            return tf.convert_to_tensor(self._weights[tensor.op.inputs[0].name])
        key = value.dtype, value.shape, hashlib.sha256(value.tobytes()).digest()
        if key not in self._stored:
            with tf.init_scope():
                self._stored[key] = tf.Variable(value, trainable=False, name=tensor.op.name)
        return tf.convert_to_tensor(self._stored[key])


def _of_weights(graph: Any, weights: Collection[str]) -> set[str]:
    """The names of the operations on weights, and on constants, alone; not those on constants only.

    What such a one waits for does not change its value: checks of weights are made by the rest of the graph.
    """
    known: dict[str, bool] = {}
    for op in graph.get_operations():
        inputs = [_source(tensor).op.name for tensor in op.inputs]
        if op.type == "ReadVariableOp" and op.inputs[0].name in weights:
            known[op.name] = True
        elif op.type == "Const" or (inputs and _is_pure(op) and all(name in known for name in inputs)):
            known[op.name] = any(known[name] for name in inputs)
    return {name for name, of_weights in known.items() if of_weights}


def _is_pure(op: tf.Operation) -> bool:
    """Whether the results are numbers, and of the inputs alone."""
    numbers = (
        dtype.is_floating or dtype.is_integer or dtype.is_bool or dtype.is_complex
        for dtype in (tensor.dtype for tensor in op.outputs)
    )
    return not op.op_def.is_stateful and all(numbers)


def _source(tensor: tf.Tensor) -> tf.Tensor:
    """What a tensor is: gradients of one's own wrap several in an IdentityN, the weights they are of among them."""
    while tensor.op.type == "IdentityN":
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


def _needed(ends: Iterable[tf.Operation], but: Collection[str], control: bool = True) -> list[tf.Operation]:
    """The operations that `ends` come from, themselves included, as far as those named in `but`.

    `control` says whether they wait for others too.
    """
    waiting, found = list(ends), {}
    while waiting:
        op = waiting.pop()
        if op.name not in found and op.name not in but:
            found[op.name] = op
            waiting += [*(_source(tensor).op for tensor in op.inputs), *(op.control_inputs if control else ())]
    return list(found.values())


def _imported(
    graph: Any, operations: list[tf.Operation], given: dict[str, tf.Tensor], wanted: list[tf.Tensor]
) -> list[tf.Tensor]:
    """The `wanted` tensors of a graph in the graph being made, by its `operations`, and by `given` tensors by name."""
    here, whole = tf.compat.v1.get_default_graph(), graph.as_graph_def()
    part = tf.compat.v1.GraphDef(versions=whole.versions, library=whole.library)
    names, used = {op.name for op in operations}, set()
    for op in operations:
        node = part.node.add()
        node.CopyFrom(op.node_def)
        node.attr.pop("_class", None)  # a place beside an operation that may be gone
        inputs = [_source(tensor).name for tensor in op.inputs]
        used.update(inputs)
        node.input[:] = inputs + [f"^{each.name}" for each in op.control_inputs if each.name in names]
    handles = {id(variable.handle): variable for variable in graph.variables}
    for outer, inner in graph.captures:
        if inner.name in used:
            given = {**given, inner.name: here.capture(outer)}
            if id(outer) in handles:
                here.watch_variable(handles[id(outer)])
    sources = [_source(tensor).name for tensor in wanted]
    made = [name for name in sources if name not in given]
    mapped = {name: tensor for name, tensor in given.items() if name in used}
    found = dict(zip(made, tf.graph_util.import_graph_def(part, mapped, made, name=""), strict=True))
    return [given[name] if name in given else found[name] for name in sources]
