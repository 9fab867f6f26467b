"""Writes the signatures of a served model as ONNX models, by tf2onnx."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp._extras import install

#: What writes and runs models.
PACKAGES = ("tf2onnx", "onnxruntime")
#: The newest that tf2onnx writes.
OPSET = 18


def needs_onnx() -> None:
    """Raises `ImportError` without the packages of the extra `onnx`."""
    for package in PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ImportError(f"`formats` has 'onnx', which needs {package}: {install('onnx')}. ({error})") from error


def onnx_models(functions: Mapping[str, Any]) -> dict[str, bytes]:
    """Converts concrete functions of named tensors to models whose inputs and outputs have the same names.

    Raises:
      ValueError: for operations that ONNX does not have.
    """
    return {name: _converted(name, function) for name, function in functions.items()}


def run_onnx(model: bytes, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs a model in onnxruntime, on a CPU."""
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of what it removes
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    taken = {each.name: inputs[each.name] for each in session.get_inputs()}
    return dict(zip((each.name for each in session.get_outputs()), session.run(None, taken), strict=True))


def _converted(name: str, function: Any) -> bytes:
    loader, converter, optimizer = (
        importlib.import_module(f"tf2onnx.{module}") for module in ("tf_loader", "tfonnx", "optimizer")
    )
    keys = [spec.name for spec in tf.nest.flatten(function.structured_input_signature)]
    inputs = [tensor.name for tensor in function.inputs[: len(keys)]]
    outputs = [tensor.name for tensor in function.outputs]
    with _collected_errors() as errors:
        frozen = loader.from_function(function, inputs, outputs)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(frozen, name="")
            converted = converter.process_tf_graph(
                graph,
                opset=OPSET,
                continue_on_error=True,
                custom_op_handlers=dict(_HANDLERS),
                input_names=inputs,
                output_names=outputs,
                tensors_to_rename=dict(zip(inputs + outputs, keys + sorted(function.structured_outputs), strict=True)),
            )
    if errors:
        raise ValueError(f"`formats` has 'onnx', but {name} can't be written as ONNX: {errors[0]}. Leave 'onnx' out.")
    plain = converted.make_model(name)
    try:  # without a copy of the graph for each attempt, which is what takes long
        return optimizer.optimize_graph(converted, catch_errors=False).make_model(name).SerializeToString()
    except Exception:  # an optimization that failed; a runtime has its own
        return plain.SerializeToString()


@contextlib.contextmanager
def _collected_errors() -> Iterator[list[str]]:
    """Yields the list of what tf2onnx logs as errors: operations that it can't convert."""
    errors: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tf2onnx")
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield errors
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


class _Nodes:
    """Makes nodes in a graph of tf2onnx.

    Attributes:
      graph: of tf2onnx.
      name: of the operation of TensorFlow that they replace.
      dtype: of its result, as one of NumPy.
    """

    def __init__(self, graph: Any, name: str, dtype: Any):
        self.graph, self.name, self.dtype = graph, name, dtype
        self._constants = itertools.count()

    def make(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """The output of a new node."""
        return self.graph.make_node(operation, list(inputs), attr=attributes).output[0]

    def constant(self, value: Any, dtype: Any = None) -> str:
        """A constant, by default of the dtype of the result."""
        name = f"{self.name}_constant_{next(self._constants)}"
        return self.graph.make_const(name, np.asarray(value, dtype or self.dtype)).output[0]


def _handler(compute: Callable[..., str]) -> tuple[Callable[..., None], list]:
    """A handler, as tf2onnx takes it, that replaces a node by the nodes of `compute`."""

    def handle(graph: Any, node: Any, name: str, _: Any) -> None:
        inputs, outputs, shapes, dtypes = list(node.input), node.output, node.output_shapes, node.output_dtypes
        graph.remove_node(node.name)
        result = compute(_Nodes(graph, name, _DTYPES[dtypes[0]]), *inputs)
        graph.make_node("Identity", [result], name=name, outputs=outputs, shapes=shapes, dtypes=dtypes)

    return handle, []


def _broadcast_args(new: _Nodes, a: str, b: str) -> str:
    """The shape to which two shapes broadcast."""
    lengths = [new.graph.get_shape(each)[0] for each in (a, b)]
    a, b = (
        new.make("Concat", new.constant(np.ones(max(lengths) - length)), each, axis=0)
        if length < max(lengths)
        else each
        for each, length in zip((a, b), lengths, strict=True)
    )
    return new.make("Where", new.make("Equal", a, new.constant([1])), b, a)


def _log1p(new: _Nodes, x: str) -> str:
    """log(1 + x): log(u) · x / (u − 1) for u = 1 + x as rounded, which loses no digits."""
    one = new.constant(1.0)
    u = new.make("Add", x, one)
    log = new.make("Log", u)
    exact = new.make("Div", new.make("Mul", log, x), new.make("Sub", u, one))
    exact = new.make("Where", new.make("Equal", u, one), x, exact)
    return new.make("Where", new.make("Less", new.make("Abs", x), one), exact, log)


def _expm1(new: _Nodes, x: str) -> str:
    """exp(x) − 1: (u − 1) · x / log(u) for u = exp(x) as rounded, which loses no digits."""
    one = new.constant(1.0)
    u = new.make("Exp", x)
    rest = new.make("Sub", u, one)
    exact = new.make("Div", new.make("Mul", rest, x), new.make("Log", u))
    exact = new.make("Where", new.make("Equal", u, one), x, exact)
    return new.make("Where", new.make("Less", new.make("Abs", x), one), exact, rest)


def _sigmoid_grad(new: _Nodes, y: str, upstream: str) -> str:
    """Upstream times y (1 − y)."""
    return new.make("Mul", upstream, new.make("Mul", y, new.make("Sub", new.constant(1.0), y)))


def _tanh_grad(new: _Nodes, y: str, upstream: str) -> str:
    """Upstream times 1 − y²."""
    return new.make("Mul", upstream, new.make("Sub", new.constant(1.0), new.make("Mul", y, y)))


def _softplus_grad(new: _Nodes, upstream: str, x: str) -> str:
    """Upstream times the logistic function of x."""
    return new.make("Mul", upstream, new.make("Sigmoid", x))


def _elu_grad(new: _Nodes, upstream: str, y: str) -> str:
    """Upstream, times 1 + y where the output y is below 0."""
    zero, below = new.constant(0.0), new.make("Mul", upstream, new.make("Add", y, new.constant(1.0)))
    return new.make("Where", new.make("Less", y, zero), below, upstream)


def _relu_grad(new: _Nodes, upstream: str, x: str) -> str:
    """Upstream where x is above 0, else 0."""
    zero = new.constant(0.0)
    return new.make("Where", new.make("Greater", x, zero), upstream, zero)


def _shapes(graph: Any, node: Any, name: str, _: Any) -> None:
    """Replaces a node that gives the shapes of several tensors by one for each, as tf2onnx takes handlers."""
    inputs, outputs, dtypes = list(node.input), node.output, node.output_dtypes
    graph.remove_node(node.name)
    for tensor, output, dtype in zip(inputs, outputs, dtypes, strict=True):
        shape = graph.make_node("Shape", [tensor]).output[0]
        graph.make_node("Cast", [shape], attr={"to": dtype}, outputs=[output], dtypes=[dtype])


def _xlogy(new: _Nodes, x: str, y: str) -> str:
    """x log y, and 0 where x is 0."""
    zero = new.constant(0.0)
    return new.make("Where", new.make("Equal", x, zero), zero, new.make("Mul", x, new.make("Log", y)))


def _xdivy(new: _Nodes, x: str, y: str) -> str:
    """x / y, and 0 where x is 0."""
    zero = new.constant(0.0)
    return new.make("Where", new.make("Equal", x, zero), zero, new.make("Div", x, y))


#: ONNX's numbers of dtypes.
_DTYPES = {1: np.float32, 6: np.int32, 7: np.int64, 11: np.float64}
_HANDLERS = {
    "BroadcastArgs": _handler(_broadcast_args),
    "Expm1": _handler(_expm1),
    "Log1p": _handler(_log1p),
    "EluGrad": _handler(_elu_grad),
    "ReluGrad": _handler(_relu_grad),
    "ShapeN": (_shapes, []),
    "SigmoidGrad": _handler(_sigmoid_grad),
    "SoftplusGrad": _handler(_softplus_grad),
    "TanhGrad": _handler(_tanh_grad),
    "Xdivy": _handler(_xdivy),
    "Xlogy": _handler(_xlogy),
}
