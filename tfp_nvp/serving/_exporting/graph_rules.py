"""Refuses graphs that a server can't run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

_RANDOM = ("Random", "StatefulStandardNormal", "StatefulUniform", "StatefulTruncated", "StatefulRandom", "Multinomial")
_PYTHON = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


def check_graph(name: str, function: Any) -> None:
    """Refuses operations that fail on a server, or whose results depend on when it started.

    Args:
      name: of the signature, for the message.
      function: a concrete function.

    Raises:
      ValueError: for a `tf.py_function`, `tf.numpy_function`, `jit_compile=True` or a
        random operation that keeps a state.
    """
    definition = function.graph.as_graph_def()
    for node in _nodes(definition):
        if node.op in _PYTHON:
            _refuse(name, node.name, "calls back into Python, which a server does not have")
        if node.op.startswith(_RANDOM) and "seed" in node.attr:
            _refuse(name, node.name, "draws from a random state of its own, which starts again with every server")
        if _must_compile(node):
            _refuse(name, node.name, "is compiled with `jit_compile=True`, which fails on a server with XLA off")
    for inner in definition.library.function:
        if _must_compile(inner):
            _refuse(name, inner.signature.name, "is compiled with `jit_compile=True`, which fails with XLA off")


def _nodes(definition: tf.compat.v1.GraphDef) -> Iterator[tf.compat.v1.NodeDef]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _must_compile(definition: Any) -> bool:
    return "_XlaMustCompile" in definition.attr and definition.attr["_XlaMustCompile"].b


def _refuse(signature: str, node: str, reason: str) -> None:
    raise ValueError(f"The signature {signature!r} can't be served: its operation {node!r} {reason}.")
