"""Translates a TensorFlow graph of known shapes to C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp.serving._exporting.c_arrays import Array, UnsupportedOperation, c_type, literal
from tfp_nvp.serving._exporting.c_expressions import COPIES, ELEMENTWISE, MOVES, REDUCTIONS, RESHAPES
from tfp_nvp.serving._exporting.c_graph import argument_names, execute, function, needed, origin

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_LOOPS = ("While", "StatelessWhile")


_UNUSED = Array((0,), tf.float32)


class Program:
    """Statements of C, and the constants that they read, as operations are translated.

    Attributes:
      statements: lines of the function that is being written.
      constants: lines that define the constants of all functions.
    """

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.constants: list[str] = []
        self._stored: dict[Any, str] = {}
        self._count = 0

    def translate(self, graph: Any, inputs: Sequence[Array], wanted: Sequence[bool] | None = None) -> list[Array]:
        """Adds the statements that compute a graph's outputs of its inputs; arrays of no use if they are not wanted.

        Raises:
          UnsupportedOperation: for an operation, dtype or shape that has no translation.
        """
        arrays = dict(zip((tensor.name for tensor in graph.inputs), inputs, strict=True))
        wanted = wanted or [True] * len(graph.outputs)
        used = needed([tensor for tensor, is_wanted in zip(graph.outputs, wanted, strict=True) if is_wanted])
        for op in graph.get_operations():
            are_needed = [tensor.name in used for tensor in op.outputs]
            if op.type != "Placeholder" and any(are_needed):
                found = self._operation(op, [arrays.get(tensor.name, _UNUSED) for tensor in op.inputs], are_needed)
                arrays.update(zip((tensor.name for tensor in op.outputs), found, strict=True))
        return [arrays.get(tensor.name, _UNUSED) for tensor in graph.outputs]

    def new(self, shape: Sequence[int], dtype: tf.DType) -> Array:
        """Declares an array."""
        self._count += 1
        array = Array(tuple(shape), dtype, address=f"t{self._count}")
        self.statements.append(f"{c_type(dtype)} {array.address}[{max(1, array.size)}];")
        return array

    def stored(self, array: Array) -> Array:
        """An array with an address: a constant is written down once."""
        if array.value is None:
            return array
        return array._replace(value=None, address=self._table(array.value, c_type(array.dtype)))

    def element(self, array: Array, shape: tuple[int, ...], i: str = "i") -> str:
        """The expression of the element of an array that belongs to element `i` of one of another shape."""
        if array.value is not None and array.size == 1:
            return literal(array.value.reshape(-1)[0])
        address = self.stored(array).address
        if array.size == 1:
            return f"{address}[0]"
        numbers = np.broadcast_to(np.arange(array.size).reshape(array.shape), shape).reshape(-1)
        return f"{address}[{self._index(numbers, i)}]"

    def _operation(self, op: Any, inputs: list[Array], are_needed: list[bool]) -> list[Array]:
        if op.type == "Shape":
            return [_known(np.array(inputs[0].shape, op.outputs[0].dtype.as_numpy_dtype))]
        if op.type in ("ZerosLike", "OnesLike"):
            value = np.full(inputs[0].shape, op.type == "OnesLike", op.outputs[0].dtype.as_numpy_dtype)
            return [_known(value)]
        if op.type in _CALLS:
            return self.translate(function(op, "f"), inputs, are_needed)
        if op.type in _LOOPS:
            return self._loop(op, inputs)
        if op.type == "ReadVariableOp":
            return [_known(np.asarray(inputs[0].value))]
        if op.type == "IdentityN":
            return inputs
        if not all(
            tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool for tensor in op.outputs
        ):
            raise UnsupportedOperation(f"{op.type} has no translation to C ({op.name})")
        if all(array.value is not None for array in inputs):
            return [_known(value) for value in execute(op, [array.value for array in inputs])]
        if op.type in COPIES:
            if op.type not in RESHAPES:
                return inputs[:1]
            zeros = np.zeros(inputs[0].shape, np.int64)
            return [inputs[0]._replace(shape=execute(op, [zeros, *(array.value for array in inputs[1:])])[0].shape)]
        if op.type in ("Cast", "Bitcast"):
            return [self._cast(op, inputs[0])]
        if op.type in ("MatMul", "BatchMatMulV2"):
            return [self._product(op, *inputs)]
        if op.type in MOVES:
            return self._moved(op, inputs, are_needed)
        if op.type in REDUCTIONS:
            return [self._reduced(op, *inputs)]
        if op.type in ELEMENTWISE:
            return [self._elementwise(op, ELEMENTWISE[op.type], inputs)]
        if op.type == "AddN":
            return [self._elementwise(op, " + ".join(f"{{{i}}}" for i in range(len(inputs))), inputs)]
        if op.type == "LeakyRelu":
            return [self._elementwise(op, f"({{0}} < 0 ? {op.get_attr('alpha')!r} * {{0}} : {{0}})", inputs)]
        raise UnsupportedOperation(f"{op.type} has no translation to C ({op.name})")

    def _elementwise(self, op: Any, expression: str, inputs: list[Array]) -> Array:
        shape = np.broadcast_shapes(*(array.shape for array in inputs))
        result = self.new(shape, op.outputs[0].dtype)
        self._fill(result, expression.format(*(self.element(array, result.shape) for array in inputs)))
        return result

    def _cast(self, op: Any, array: Array) -> Array:
        dtype = op.outputs[0].dtype
        if op.type == "Bitcast" and {array.dtype, dtype} != {tf.int32, tf.uint32}:
            raise UnsupportedOperation(f"Bitcast from {array.dtype.name} to {dtype.name} has no translation to C")
        expression = "{0} != 0" if dtype == tf.bool else f"({c_type(dtype)}){{0}}"
        return self._elementwise(op, expression, [array])

    def _fill(self, result: Array, expression: str) -> None:
        """Sets every element; `i` in the expression is its number."""
        if result.size == 1:
            self.statements.append(f"{result.address}[0] = {expression.replace('[i]', '[0]')};")
        else:
            self.statements.append(f"for (int i = 0; i < {result.size}; ++i) {result.address}[i] = {expression};")

    def _product(self, op: Any, a: Array, b: Array) -> Array:
        """A product of matrices; of a batch of one."""
        if any(size != 1 for array in (a, b) for size in array.shape[:-2]):
            raise UnsupportedOperation(f"{op.type} of more than two dimensions has no translation to C ({op.name})")
        flags = ("transpose_a", "transpose_b") if op.type == "MatMul" else ("adj_x", "adj_y")
        a, b = (
            self._transposed(array) if op.get_attr(flag) else array for array, flag in zip((a, b), flags, strict=True)
        )
        (rows, inner), columns = a.shape[-2:], b.shape[-1]
        batch = max(a.shape[:-2], b.shape[:-2], key=len)
        result = self.new((*batch, rows, columns), op.outputs[0].dtype)
        a, b = self.stored(a), self.stored(b)
        self.statements.append(
            f"for (int i = 0; i < {rows}; ++i) {{ real *row = {result.address} + i * {columns};"
            f" for (int j = 0; j < {columns}; ++j) row[j] = 0;"
            f" for (int k = 0; k < {inner}; ++k) {{ const real a = {a.address}[i * {inner} + k];"
            f" for (int j = 0; j < {columns}; ++j) row[j] += a * {b.address}[k * {columns} + j]; }} }}"
        )
        return result

    def _transposed(self, array: Array) -> Array:
        shape = (*array.shape[:-2], array.shape[-1], array.shape[-2])
        if array.value is not None:
            return _known(np.ascontiguousarray(np.swapaxes(array.value, -1, -2)))
        numbers = np.swapaxes(np.arange(array.size).reshape(array.shape), -1, -2).reshape(-1)
        result = self.new(shape, array.dtype)
        self._fill(result, f"{array.address}[{self._index(numbers, 'i')}]")
        return result

    def _moved(self, op: Any, inputs: list[Array], are_needed: list[bool]) -> list[Array]:
        """Executes an operation on the numbers of elements, from 1; 0 is where it fills with zeros."""
        moved, numbers, count = [], [], 0
        for name, array in zip(argument_names(op), inputs, strict=True):
            if name in MOVES[op.type]:
                moved.append((count, self.stored(array)))
                numbers.append(np.arange(count + 1, count + array.size + 1).reshape(array.shape))
                count += array.size
            elif array.value is None:
                raise UnsupportedOperation(f"{op.type} by numbers that depend on the input has no translation to C")
            else:
                numbers.append(array.value)
        dtype = op.outputs[0].dtype
        return [
            self._gathered(found, moved, dtype) if is_needed else _UNUSED
            for found, is_needed in zip(execute(op, numbers), are_needed, strict=True)
        ]

    def _gathered(self, numbers: np.ndarray, sources: list[tuple[int, Array]], dtype: tf.DType) -> Array:
        """An array of elements of others, given by their numbers."""
        flat = numbers.reshape(-1).astype(np.int64)
        for first, source in sources:
            of_source = flat - first - 1
            is_run = flat.size and (np.diff(of_source) == 1).all()
            if is_run and of_source[0] >= 0 and of_source[-1] < source.size:
                return Array(numbers.shape, dtype, address=f"({source.address} + {of_source[0]})")
        result = self.new(numbers.shape, dtype)
        if not flat.size:
            return result
        starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] - 2) != 1).tolist()
        for start, end in zip(starts, [*starts[1:], len(flat)], strict=True):
            number, length = flat[start], end - start
            if number == 0:
                self.statements.append(f"{result.address}[{start}] = 0;")
                rest = length - 1  # the numbers 1, 2, … that follow are of elements
                start, number, length = start + 1, 1, rest
            while length > 0:
                first, source = next(s for s in reversed(sources) if s[0] < number)
                part = min(length, first + source.size - (number - 1))
                here = f"{result.address}[{start} + i] = {source.address}[{number - 1 - first} + i];"
                self.statements.append(f"for (int i = 0; i < {part}; ++i) {here}")
                start, number, length = start + part, number + part, length - part
        return result

    def _reduced(self, op: Any, array: Array, axes: Array) -> Array:
        if axes.value is None or not array.size:
            raise UnsupportedOperation(f"{op.type} along axes that depend on the input has no translation to C")
        reduced = sorted({int(axis) % len(array.shape) for axis in axes.value.reshape(-1)})
        kept = [axis for axis in range(len(array.shape)) if axis not in reduced]
        numbers = np.arange(array.size).reshape(array.shape).transpose(kept + reduced)
        shape = np.sum(np.zeros(array.shape), axis=tuple(reduced), keepdims=op.get_attr("keep_dims")).shape
        result, array = self.new(shape, op.outputs[0].dtype), self.stored(array)
        numbers = numbers.reshape(max(1, result.size), -1)
        each = numbers.shape[1]
        first = f"{array.address}[{self._index(numbers[:, 0], 'i')}]"
        other = f"{array.address}[{self._index(numbers.reshape(-1), f'(i * {each} + j)')}]"
        scale = f" / {each}" if op.type == "Mean" else ""
        self.statements.append(
            f"for (int i = 0; i < {result.size}; ++i) {{ {c_type(array.dtype)} a = {first};"
            f" for (int j = 1; j < {each}; ++j) a = {REDUCTIONS[op.type].format(other)};"
            f" {result.address}[i] = a{scale}; }}"
        )
        return result

    def _loop(self, op: Any, inputs: list[Array]) -> list[Array]:
        """A loop, whose variables are arrays; what it does not change stays where it is, or known."""
        body, cond = (function(op, name) for name in ("body", "cond"))
        stays = [origin(out).name == inner.name for out, inner in zip(body.outputs, body.inputs, strict=True)]
        variables = []
        for array, fixed in zip(inputs, stays, strict=True):
            if fixed:
                variables.append(array)
            else:
                variables.append(self.new(array.shape, array.dtype))
                self._fill(variables[-1], self.element(array, array.shape))
        self.statements.append("for (;;) {")
        (goes_on,) = self.translate(cond, variables)
        self.statements.append(f"if (!{self.element(goes_on, goes_on.shape, '0')}) break;")
        found = self.translate(body, variables)
        changed = [pair for pair, fixed in zip(zip(variables, found, strict=True), stays, strict=True) if not fixed]
        copies = []
        for variable, value in changed:  # all are read before any is written
            copies.append(self.new(variable.shape, variable.dtype))
            self._fill(copies[-1], self.element(value, variable.shape))
        for (variable, _), copy in zip(changed, copies, strict=True):
            self._fill(variable, self.element(copy, variable.shape))
        self.statements.append("}")
        return variables

    def _index(self, numbers: np.ndarray, i: str) -> str:
        """An expression of `numbers[i]`."""
        count = np.arange(len(numbers))
        if (numbers == count).all():
            return i
        if len(numbers) and (numbers == numbers[0]).all():
            return str(numbers[0])
        step = int(numbers[1]) - int(numbers[0])
        if (numbers == numbers[0] + step * count).all():
            return f"{numbers[0]} + {step} * {i}"
        period = int(numbers.max()) + 1
        if (numbers == count % period).all():
            return f"{i} % {period}"
        repeats = int(np.argmax(numbers != numbers[0]))
        if (numbers == count // repeats).all():
            return f"{i} / {repeats}"
        return f"{self._table(numbers.astype(np.int32), 'int32_t')}[{i}]"

    def _table(self, values: np.ndarray, kind: str) -> str:
        key = kind, values.tobytes()
        if key not in self._stored:
            self._stored[key] = f"c{len(self._stored)}"
            numbers = ", ".join(literal(value) for value in values.reshape(-1)) or "0"
            self.constants.append(f"static const {kind} {self._stored[key]}[] = {{{numbers}}};")
        return self._stored[key]


def _known(value: np.ndarray) -> Array:
    return Array(value.shape, tf.as_dtype(value.dtype), value)
