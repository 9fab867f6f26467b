"""Writes a served model as one file of C99 that needs nothing but libm."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import tensorflow as tf

from tfp_nvp.bijectors._at_once import choosing
from tfp_nvp.serving._exporting.c_arrays import Array, UnsupportedOperation, c_type
from tfp_nvp.serving._exporting.c_expressions import PRELUDE
from tfp_nvp.serving._exporting.c_program import Program
from tfp_nvp.serving._exporting.served import Specs
from tfp_nvp.serving._exporting.signatures import Signature, trace

#: Numbers of an array: more would not be a small program, and its arrays are on the stack.
MOST_NUMBERS = 20_000

_TYPES = {
    tf.float32: "float",
    tf.float64: "double",
    tf.int32: "int32_t",
    tf.int64: "int64_t",
    tf.bool: "unsigned char",
}

_HEAD = """\
/* {name}: a normalizing flow, written by tfp_nvp. C99; it needs libm and nothing else.

{usage}

Every function maps n rows, which lie one after the other, one by one: equal rows give equal results, and it may be
called by several threads. log_prob and log_det are in nats. `seed` is two numbers for each row: equal seeds give
equal rows. Compile it with -O3; with -Dreal=float it computes in single precision, as TensorFlow does.
*/
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifndef real
#define real double
#endif

"""


def c_source(name: str, signatures: dict[str, Signature]) -> str:
    """Returns the C file of a model's signatures; those that the distribution does not implement are left out.

    It is translated from the graph of one row, in which all that is known is computed first.

    Raises:
      ValueError: if a signature has operations, dtypes or shapes without a translation; it names them.
    """
    prefix = re.sub(r"\W", "_", name) if re.match(r"[A-Za-z_]", name) else "flow_" + re.sub(r"\W", "_", name)
    program, functions, usage = Program(), [], []
    for signature, (call, inputs, outputs) in signatures.items():
        one = Signature(call, _of_one_row(inputs), _of_one_row(outputs))
        try:
            with choosing(at_once=True):
                traced = trace({signature: one})
            if signature in traced:
                arguments = ", ".join(_arguments(inputs, outputs))
                head = f"void {prefix}_{signature}(size_t n, {arguments})"
                functions.append(_function(program, traced[signature], f"{prefix}_{signature}", head, one))
                usage.append(f"    {head};")
        except UnsupportedOperation as error:
            raise ValueError(
                f"`formats` has 'c', but {signature} can't be written in C: {error}. Flows of dense networks over "
                "vectors can: RealNVP, NICE, NeuralSplineFlow, MAF, IAF and what nvp.fit makes. Leave 'c' out."
            ) from error
    constants = "\n".join(program.constants)
    return _HEAD.format(name=name, usage="\n".join(usage)) + PRELUDE + f"\n{constants}\n\n" + "\n\n".join(functions)


def _function(program: Program, function: Any, name: str, head: str, signature: Signature) -> str:
    """One signature: a function of one row, and one of n rows that calls it."""
    graph, program.statements, arrays = function.graph, [], []
    captured = {inner.name: _captured(graph, outer) for outer, inner in graph.captures}
    for tensor in graph.inputs:
        if tensor.name in captured:
            arrays.append(captured[tensor.name])
            continue
        key = tensor.op.name
        spec = signature.inputs[key]
        array = program.new(spec.shape, spec.dtype)
        here = f"{array.address}[i] = ({c_type(spec.dtype)}){key}[i];"
        program.statements.append(f"for (int i = 0; i < {array.size}; ++i) {here}")
        arrays.append(array)
    found = program.translate(graph, arrays)
    for (key, spec), array in zip(sorted(signature.outputs.items()), found, strict=True):
        kind, value = _type(key, spec), program.element(array, array.shape)
        program.statements.append(f"for (int i = 0; i < {array.size}; ++i) out_{key}[i] = ({kind})({value});")
    specs = {**signature.inputs, **{f"out_{key}": spec for key, spec in signature.outputs.items()}}
    rows = ", ".join(f"{key} + row * {max(1, spec.shape.num_elements())}" for key, spec in specs.items())
    arguments = ", ".join(_arguments(signature.inputs, signature.outputs))
    body = "\n".join(f"    {line}" for line in _without_unused(program.statements))
    return (
        f"static void {name}_row({arguments}) {{\n{body}\n}}\n\n"
        f"{head};\n{head} {{\n    for (size_t row = 0; row < n; ++row) {name}_row({rows});\n}}\n"
    )


def _without_unused(statements: list[str]) -> list[str]:
    """The statements without declarations of arrays that no other statement names."""
    uses = Counter(re.findall(r"\bt\d+\b", "\n".join(statements)))
    declared = (re.fullmatch(r"\w+ (t\d+)\[\d+\];", line) for line in statements)
    return [line for line, found in zip(statements, declared, strict=True) if not found or uses[found[1]] > 1]


def _captured(graph: Any, outer: tf.Tensor) -> Array:
    """A tensor from outside a graph: the value of a variable, by its handle, or a constant."""
    if outer.dtype == tf.resource:
        values = [variable.numpy() for variable in graph.variables if variable.handle is outer]
        if not values:
            raise UnsupportedOperation("a look-up table has no translation to C")
        return Array((), tf.resource, values[0])
    return Array(tuple(outer.shape), outer.dtype, outer.numpy())


def _arguments(inputs: Specs, outputs: Specs) -> list[str]:
    taken = [f"const {_type(key, spec)} *{key}" for key, spec in inputs.items()]
    return taken + [f"{_type(key, spec)} *out_{key}" for key, spec in outputs.items()]


def _type(name: str, spec: tf.TensorSpec) -> str:
    if spec.dtype not in _TYPES:
        raise UnsupportedOperation(f"{name} is {spec.dtype.name}")
    return _TYPES[spec.dtype]


def _of_one_row(specs: Specs) -> Specs:
    """The specs with a batch of one."""
    one = {key: tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, name=key) for key, spec in specs.items()}
    for key, spec in one.items():
        if not spec.shape.is_fully_defined() or spec.shape.num_elements() > MOST_NUMBERS:
            raise ValueError(
                f"`formats` has 'c', for which every input has a known shape of up to {MOST_NUMBERS:,} numbers; "
                f"{key} has {spec.shape[1:]}."
            )
    return one
