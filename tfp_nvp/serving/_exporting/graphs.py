"""Extracts parts of traced graphs, and builds functions from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

#: Operations whose first input selects one of their functions; the functions take the other inputs.
_WITH_A_CHOICE = ("If", "StatelessIf", "Case", "StatelessCase")


def not_only_read(graphs: Iterable[Any]) -> set[int]:
    """The ids of the handles of variables that a graph does not only read whole."""
    handles = set()
    for graph in graphs:
        library = {function.signature.name: function for function in graph.as_graph_def().library.function}
        for outer, inner in graph.captures:
            uses = (
                (op.node_def, position)
                for op in inner.consumers()
                for position, tensor in enumerate(op.inputs)
                if tensor.name == inner.name
            )
            if not all(_only_reads(node, position, library) for node, position in uses):
                handles.add(id(outer))
    return handles


def _only_reads(node: Any, position: int, library: Mapping[str, Any]) -> bool:
    """Whether an operation only reads the variable whose handle is its input at `position`."""
    if node.op == "ReadVariableOp":
        return True
    called = [function.name for function in functions_of(node)]
    if not called:
        return False
    for function in (library[name] for name in called):
        argument = function.signature.input_arg[position - (node.op in _WITH_A_CHOICE)].name
        uses = ((inner, i) for inner in function.node_def for i, name in enumerate(inner.input) if name == argument)
        if not all(_only_reads(inner, i, library) for inner, i in uses):
            return False
    return True


def functions_of(node: Any) -> Iterator[Any]:
    """The functions that a node calls, as its attributes name them."""
    for value in node.attr.values():
        yield from (function for function in (value.func, *value.list.func) if function.name)


def source(tensor: tf.Tensor) -> tf.Tensor:
    """The tensor that this one is a copy of: custom gradients wrap tensors, weights among them, in an IdentityN."""
    while tensor.op.type == "IdentityN":
        tensor = tensor.op.inputs[tensor.value_index]
    return tensor


def needed(ends: Iterable[tf.Operation], but: Collection[str], control: bool = True) -> list[tf.Operation]:
    """The operations that `ends` depend on, themselves included; the search stops before those named in `but`.

    `control` says whether to follow control dependencies.
    """
    waiting, operations = list(ends), {}
    while waiting:
        op = waiting.pop()
        if op.name not in operations and op.name not in but:
            operations[op.name] = op
            waiting += [*(source(tensor).op for tensor in op.inputs), *(op.control_inputs if control else ())]
    return list(operations.values())


def ends_of(graph: Any) -> list[tf.Operation]:
    """The operations that compute a graph's outputs, and those that run for their side effects."""
    return [*(source(tensor).op for tensor in graph.outputs), *graph.control_outputs]


def function_like(original: Any, outputs_of: Callable[[dict[str, tf.Tensor]], list[tf.Tensor]]) -> Any:
    """Traces a concrete function with the inputs and the output structure of another.

    Args:
      original: a concrete function of named tensors.
      outputs_of: computes outputs from inputs by the names of tensors in the original's graph.
    """
    specs = tf.nest.flatten(original.structured_input_signature)

    def call(**inputs: tf.Tensor) -> Any:
        by_tensor = {tensor.name: inputs[spec.name] for spec, tensor in zip(specs, original.graph.inputs, strict=False)}
        return tf.nest.pack_sequence_as(original.structured_outputs, outputs_of(by_tensor))

    return tf.function(call, autograph=False).get_concrete_function(**{spec.name: spec for spec in specs})


def imported(
    graph: Any,
    operations: list[tf.Operation],
    known: dict[str, tf.Tensor],
    wanted: list[tf.Tensor],
    halves: Mapping[int, tf.Variable] | None = None,
) -> list[tf.Tensor]:
    """Imports operations of a graph into the graph that is being traced, and returns tensors they compute.

    Args:
      graph: of a concrete function.
      operations: of `graph`, which compute the tensors.
      known: replacements for tensors of `graph`, by name.
      wanted: tensors of `graph` to return.
      halves: variables of fewer bits to read instead of others, by the ids of the others' handles.
    """
    here, definition, halves = tf.compat.v1.get_default_graph(), graph.as_graph_def(), halves or {}
    subgraph = tf.compat.v1.GraphDef(versions=definition.versions, library=definition.library)
    names, used = {op.name for op in operations}, set()
    for op in operations:
        node = subgraph.node.add()
        node.CopyFrom(op.node_def)
        node.attr.pop("_class", None)  # it may name an operation that is not imported
        inputs = [source(tensor).name for tensor in op.inputs]
        used.update(inputs)
        node.input[:] = inputs + [f"^{other.name}" for other in op.control_inputs if other.name in names]
    variables = {id(variable.handle): variable for variable in graph.variables}
    cast = {}
    for outer, inner in graph.captures:
        if inner.name in used and inner.name not in known:
            variable = halves.get(id(outer), variables.get(id(outer)))
            known = {**known, inner.name: here.capture(outer if variable is None else variable.handle)}
            if variable is not None:
                here.watch_variable(variable)
            if id(outer) in halves:
                cast[inner.name] = variable.dtype
    added = _CastReads(subgraph).rewrite(cast)
    sources = [source(tensor).name for tensor in wanted]
    computed = [name for name in sources if name not in known]
    mapped = {name: tensor for name, tensor in known.items() if name in used}
    tensors = dict(zip(computed, tf.graph_util.import_graph_def(subgraph, mapped, computed, name=""), strict=True))
    with tf.init_scope():
        for name in added:
            here._get_function(name).add_to_graph(here)  # or the imported calls would not find them
    return [known[name] if name in known else tensors[name] for name in sources]


class _CastReads:
    """Rewrites a graph to read some variables in another dtype, and to cast their values to the original one.

    A function of the graph's library that reads one of them is copied, and the copy casts.

    Args:
      graph: a definition, modified in place.
    """

    def __init__(self, graph: tf.compat.v1.GraphDef):
        self._graph = graph
        self._library = {function.signature.name: function for function in graph.library.function}

    def rewrite(self, handles: Mapping[str, tf.DType]) -> list[str]:
        """Rewrites the graph, given the new dtypes of variables by the names of their handles.

        Returns:
          The names of the new functions in the library.
        """
        before = set(self._library)
        if handles:
            nodes = list(self._nodes(self._graph.node, handles, value=""))
            del self._graph.node[:]
            self._graph.node.extend(nodes)
        return [name for name in self._library if name not in before]

    def _nodes(self, nodes: Iterable[Any], handles: Mapping[str, tf.DType], value: str) -> Iterator[Any]:
        """Yields the rewritten nodes; a read's output tensor has its node's name and the suffix `value`."""
        for node in nodes:
            dtypes = {i: handles[name] for i, name in enumerate(node.input) if name in handles}
            if not dtypes:
                yield node
            elif node.op == "ReadVariableOp":
                yield from _read_and_cast(node, dtypes[0], value)
            else:
                offset = node.op in _WITH_A_CHOICE
                for function in functions_of(node):
                    function.name = self._casting(function.name, {i - offset: dtype for i, dtype in dtypes.items()})
                yield node

    def _casting(self, name: str, dtypes: Mapping[int, tf.DType]) -> str:
        """Returns the name of the copy of a function that casts the variables passed at these positions."""
        key = "_".join(f"{position}_{dtype.name}" for position, dtype in sorted(dtypes.items()))
        if f"{name}_{key}" not in self._library:
            function = self._graph.library.function.add()
            function.CopyFrom(self._library[name])
            self._library[f"{name}_{key}"] = function
            function.signature.name = f"{name}_{key}"
            handles = {function.signature.input_arg[i].name: dtype for i, dtype in dtypes.items()}
            for position in dtypes:  # shape and dtype of the original variable
                del function.signature.input_arg[position].handle_data[:]
            reads = {
                node.name for node in function.node_def if node.op == "ReadVariableOp" and node.input[0] in handles
            }
            nodes = list(self._nodes(function.node_def, handles, value=":value:0"))
            del function.node_def[:]
            function.node_def.extend(nodes)
            renamed = {f"{read}:value:0": f"{read}:y:0" for read in reads}
            for node in function.node_def:
                node.input[:] = [renamed.get(tensor, tensor) for tensor in node.input]
            for output, tensor in function.ret.items():
                function.ret[output] = renamed.get(tensor, tensor)
        return f"{name}_{key}"


def _read_and_cast(read: Any, dtype: tf.DType, value: str) -> Iterator[Any]:
    """Yields nodes that read a variable of `dtype`, and cast it to the dtype of `read` under the same name."""
    stored = tf.compat.v1.NodeDef()
    stored.CopyFrom(read)
    stored.name = f"{read.name}/stored"
    stored.attr["dtype"].type = dtype.as_datatype_enum
    stored.attr.pop("_output_shapes", None)
    cast = tf.compat.v1.NodeDef(name=read.name, op="Cast", input=[f"{stored.name}{value}"], device=read.device)
    cast.attr["SrcT"].type = dtype.as_datatype_enum
    cast.attr["DstT"].type = read.attr["dtype"].type
    cast.attr["Truncate"].b = False
    yield stored
    yield cast
