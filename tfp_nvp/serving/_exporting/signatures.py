"""The signatures of a served model."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp.distributions._temperature import has_temperature
from tfp_nvp.serving._exporting.row_random import base_rows, dequantize_rows, sample_rows
from tfp_nvp.serving._exporting.served import Served, Specs, condition_of, condition_specs, rows
from tfp_nvp.training import AnomalyDetector

Tensors = dict[str, tf.Tensor]
Function = Callable[..., Tensors]


class Signature(NamedTuple):
    """A function of named tensors, and the specs of its inputs and outputs."""

    call: Function
    inputs: Specs
    outputs: Specs


def signatures(model: Served) -> dict[str, Signature]:
    """Returns the signatures of `model` by name.

        log_prob          x [n, event], condition                          →  log_prob [n]
        sample            seed int32 [n, 2], condition                     →  x [n, event]
        sample_tempered   seed int32 [n, 2], condition, temperature [n]    →  x [n, event]
        encode            x, condition                                     →  z, log_det [n]
        decode            z, condition                                     →  x, log_det [n]
        score             x                                                →  score [n], is_anomaly bool [n]

    `score` needs an `AnomalyDetector`; the three before it need a flow, and `sample_tempered` a base that has a
    temperature (`Flow.sample`). For a `Dequantized` distribution x are integers, `log_prob` and `encode` also take the
    seed of the noise, and there is no log_det. Samples of columns on a grid are rounded to it; `decode` returns
    continuous values, as `log_prob` takes them. Every
    tensor has the batch as its first dimension, and each signature evaluates every network once.
    """
    distribution, flow = model.distribution, model.fittable.as_flow()
    is_integer = model.fittable.levels is not None
    condition, float_dtype = condition_specs(model), model.fittable.density_dtype
    functions = _of_integers(model) if is_integer else _of_reals(model)
    x = {"x": rows("x", distribution.event_shape, distribution.integer_dtype if is_integer else distribution.dtype)}
    seed = {"seed": rows("seed", [2], tf.int32)}
    noise_seed = seed if is_integer else {}
    specs = {"log_prob": (x | noise_seed, {"log_prob": rows("log_prob", [], float_dtype)}), "sample": (seed, x)}
    if flow is not None:
        base = flow.distribution
        temperature = {"temperature": rows("temperature", [], base.dtype)}
        z = {"z": rows("z", base.event_shape, base.dtype)}
        log_det = {} if is_integer else {"log_det": rows("log_det", [], float_dtype)}
        if has_temperature(base):
            specs["sample_tempered"] = (seed | temperature, x)
        specs["encode"] = (x | noise_seed, z | log_det)
        specs["decode"] = (z, x | log_det)
    if model.detector is not None:
        functions["score"] = _score(model.detector)
        specs["score"] = (x, {"score": rows("score", [], float_dtype), "is_anomaly": rows("is_anomaly", [], tf.bool)})
    return {
        name: Signature(_nan_without_a_condition(functions[name], condition), inputs | condition, outputs)
        for name, (inputs, outputs) in specs.items()
    }


def _of_reals(model: Served) -> dict[str, Function]:
    """The functions of a distribution over real numbers."""
    distribution = model.distribution

    def log_prob(x: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        condition = condition_of(model, raw)
        keywords = {} if condition is None else {"condition": condition}  # stock distributions take none
        return {"log_prob": distribution.log_prob(x, **keywords)}

    def sample(seed: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        return {"x": model.round(sample_rows(distribution, seed, condition_of(model, raw)))}

    def sample_tempered(seed: tf.Tensor, temperature: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        condition = condition_of(model, raw)
        return {
            "x": model.round(distribution.decode(base_rows(distribution, seed, condition, temperature), condition)[0])
        }

    def encode(x: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        z, log_det = distribution.encode(x, condition_of(model, raw))
        return {"z": z, "log_det": log_det}

    def decode(z: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        x, log_det = distribution.decode(z, condition_of(model, raw))
        return {"x": x, "log_det": log_det}

    return {f.__name__: f for f in (log_prob, sample, sample_tempered, encode, decode)}


def _of_integers(model: Served) -> dict[str, Function]:
    """The functions of integers under the density of a flow."""
    distribution, flow = model.distribution, model.distribution.flow

    def as_integers(x: tf.Tensor) -> Tensors:
        return {"x": tf.cast(x, distribution.integer_dtype)}

    def log_prob(x: tf.Tensor, seed: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        x = tf.cast(x, tf.int32)
        y, log_q = dequantize_rows(distribution, x, seed)
        return {"log_prob": distribution.bound(x, y, log_q, condition_of(model, raw))}

    def sample(seed: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        return as_integers(sample_rows(distribution, seed, condition_of(model, raw)))

    def sample_tempered(seed: tf.Tensor, temperature: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        condition = condition_of(model, raw)
        return as_integers(distribution.decode(base_rows(flow, seed, condition, temperature), condition)[0])

    def encode(x: tf.Tensor, seed: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        x = tf.cast(x, tf.int32)
        y, _ = dequantize_rows(distribution, x, seed)
        return {"z": distribution.possible_latents(x, flow.encode(y, condition_of(model, raw))[0])}

    def decode(z: tf.Tensor, **raw: tf.Tensor) -> Tensors:
        return as_integers(distribution.decode(z, condition_of(model, raw))[0])

    return {f.__name__: f for f in (log_prob, sample, sample_tempered, encode, decode)}


def _score(detector: AnomalyDetector) -> Function:
    def score(x: tf.Tensor) -> Tensors:
        value = detector.scores(x)
        # Not ~(value <= threshold): TensorFlow's optimizer makes > of that, which differs for a NaN.
        is_above = value > tf.constant(detector.threshold, value.dtype)
        return {"score": value, "is_anomaly": is_above | tf.math.is_nan(value)}

    return score


def own_signatures(functions: Mapping[str, Any] | None, taken: Collection[str]) -> dict[str, Signature]:
    """Checks a user's `tf.function`s, and returns them as signatures.

    Raises:
      TypeError, ValueError: if one has no `input_signature` of named tensors with the batch as their first dimension,
        does not return a dict of such tensors, or has a reserved name.
    """
    if functions is not None and not isinstance(functions, Mapping):
        raise TypeError(f"`signatures` must be a dict of tf.functions by name; got {functions!r}.")
    signatures = {}
    for name, function in (functions or {}).items():
        if name in taken or name == "serving_default" or not name.isidentifier() or name.startswith("__"):
            raise ValueError(f"`signatures` has {name!r}, which is taken or no name; taken: {sorted(taken)}.")
        specs = getattr(function, "input_signature", None)
        if specs is None:
            raise TypeError(
                f"`signatures[{name!r}]` must be a tf.function with an input_signature, "
                'such as [tf.TensorSpec([None, 2], name="x")].'
            )
        inputs, arguments = {}, list(inspect.signature(function.python_function).parameters)
        if len(arguments) != len(specs):
            raise TypeError(f"`signatures[{name!r}]` must have a TensorSpec for each of its arguments {arguments}.")
        for argument, spec in zip(arguments, specs, strict=True):
            if not isinstance(spec, tf.TensorSpec):
                raise TypeError(f"`signatures[{name!r}]` must take tensors; its {argument} is {spec!r}.")
            inputs[argument] = tf.TensorSpec(spec.shape, spec.dtype, name=argument)
        outputs = function.get_concrete_function().structured_outputs
        if not isinstance(outputs, dict) or not all(hasattr(tensor, "shape") for tensor in outputs.values()):
            raise TypeError(f"`signatures[{name!r}]` must return a dict of tensors by name.")
        outputs = {key: tf.TensorSpec(tensor.shape, tensor.dtype, name=key) for key, tensor in outputs.items()}
        for key, spec in (*inputs.items(), *outputs.items()):
            if not inputs or spec.shape.rank in (0, None) or spec.shape[0] is not None:
                raise ValueError(
                    f"`signatures[{name!r}]` must have the batch, of size None, as the first dimension of every "
                    f"tensor; {key} has shape {spec.shape}."
                )
        # `trace` traces it again, with AutoGraph.
        signatures[name] = Signature(tf.function(function.python_function), inputs, outputs)
    return signatures


def trace(signatures: dict[str, Signature]) -> dict[str, Any]:
    """Traces the signatures to concrete functions; omits those that the distribution does not implement.

    Raises:
      ValueError: if it does not implement `log_prob`.
    """
    functions = {}
    for name, signature in signatures.items():
        try:
            function = tf.function(_with_static_shapes(signature), autograph=False)  # as Keras exports its own
            functions[name] = function.get_concrete_function(**signature.inputs)
        except NotImplementedError as error:
            if name == "log_prob":
                raise ValueError(f"`model` must have a `log_prob` to be served: {error}") from error
    return functions


class ServingModule(tf.Module):
    """The root of a SavedModel: the variables and tables that the functions read."""

    def __init__(self, model: Served, functions: dict[str, Any], precomputed: list[tf.Variable]):
        super().__init__()
        read = (variable for function in functions.values() for variable in function.graph.variables)
        self.weights = list({id(variable): variable for variable in (*read, *precomputed)}.values())
        self.tables = list(_tables(model.encoder))


def weights_of(model: Served) -> list[tf.Variable]:
    """Returns the variables of a model.

    Raises:
      ValueError: if one is NaN or infinite.
    """
    weights = model.variables
    bad = [v.name for v in weights if v.dtype.is_floating and not np.isfinite(np.asarray(v, float)).all()]
    if bad:
        raise ValueError(
            f"{len(bad)} weight(s) of `model` are NaN or infinite: {', '.join(bad[:3])}. "
            "Training diverged; go back to an earlier checkpoint, or lower the learning rate."
        )
    return weights


def _with_static_shapes(signature: Signature) -> Function:
    """Wraps a signature's function: checks the shapes of inputs, and sets those of outputs.

    A server does not check inputs against its metadata, and most operations broadcast.
    """

    def call(**inputs: tf.Tensor) -> Tensors:
        outputs = signature.call(**_checked_rows(inputs, signature.inputs))
        for name, spec in signature.outputs.items():
            outputs[name].set_shape(spec.shape)
        return {name: tf.identity(value, name=name) for name, value in outputs.items()}

    return call


def _checked_rows(inputs: Tensors, specs: Specs) -> Tensors:
    """Asserts, when the graph is run, that inputs have the shapes of `specs` and equally many rows."""
    inputs = {name: tf.ensure_shape(value, specs[name].shape) for name, value in inputs.items()}
    first, *others = (tf.shape(value)[0] for value in inputs.values())
    for count in others:
        # A client reads the name and both counts; a string as message would have no kernel on a GPU.
        tf.debugging.Assert(tf.equal(count, first), [first, count], name="inputs_must_have_equally_many_rows")
    return inputs


def _nan_without_a_condition(call: Function, condition: Specs) -> Function:
    """Wraps `call` to return NaN in rows whose condition is not finite.

    Without this they could get a finite density: a ReLU fused with a product maps NaN to 0.
    """
    real = [name for name, spec in condition.items() if spec.dtype.is_floating]
    if not real:
        return call

    def guarded(**inputs: tf.Tensor) -> Tensors:
        lost = [~tf.math.is_finite(inputs[name]) for name in real]
        lost = [tf.reduce_any(numbers, axis=list(range(1, numbers.shape.rank))) for numbers in lost]
        row = functools.reduce(tf.logical_or, lost)

        def marked(value: tf.Tensor) -> tf.Tensor:
            if not value.dtype.is_floating:
                return value
            rows = tf.reshape(row, [-1] + [1] * (value.shape.rank - 1))
            return tf.where(rows, tf.constant(math.nan, value.dtype), value)

        return {name: marked(value) for name, value in call(**inputs).items()}

    return guarded


def _tables(encoder: keras.layers.Layer | None) -> Iterator[Any]:
    """Yields look-up tables of layers such as `keras.layers.StringLookup`."""
    for layer in [] if encoder is None else encoder._flatten_layers():
        for value in vars(layer).values():
            if isinstance(value, tf.saved_model.experimental.TrackableResource):
                yield value
