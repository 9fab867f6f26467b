"""The checks of both bijectors and flows. Each returns an error and a remark."""

from __future__ import annotations

import contextlib
import math
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp._module import tf_variables
from tfp_nvp.testing.report import Skipped
from tfp_nvp.testing.subject import NUM_ROWS, Subject, compare


def variables_tracked(subject: Subject) -> tuple[float, str]:
    """Every variable that results depend on is in `.variables`; the error is how many are not."""
    tracked = {id(variable) for variable in tf_variables(subject.module)}
    missing = [variable for variable in used_variables(subject) if id(variable) not in tracked]
    described = ", ".join(f"{variable.name} {variable.shape.as_list()}" for variable in missing[:5])
    return float(len(missing)), (
        f"{len(missing)} variable(s) are used but are not in `.variables`: {described}. "
        "Hold them, or the `.variables` of their network, as an attribute"
    )


def gradients(subject: Subject) -> tuple[float, str]:
    """Every trainable variable gets a finite gradient; the error is how many do not."""
    variables = subject.module.trainable_variables
    if not variables:
        raise Skipped("nothing is trainable")
    with tf.GradientTape() as tape:
        outputs = subject.evaluate()
        loss = tf.add_n([tf.reduce_sum(tf.cast(value, tf.float64)) for value in outputs.values()])
    unreached, not_finite = [], []
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        if gradient is None:
            unreached.append(variable.name)
        elif not np.isfinite(tf.convert_to_tensor(gradient)).all():
            not_finite.append(variable.name)
    remark = f"no gradient reaches {unreached}; " if unreached else ""
    return float(len(unreached) + len(not_finite)), remark + (f"not finite for {not_finite}" if not_finite else "")


def no_stale_results(subject: Subject, whole: Subject) -> tuple[float, str]:
    """After variables are assigned, those that `whole` uses too, equal tensors give equal results."""
    by_id = {id(variable): variable for variable in (*tf_variables(subject.module), *used_variables(whole))}
    variables = [variable for variable in by_id.values() if variable.dtype.is_floating]
    if not variables:
        raise Skipped("it has no variables")
    before = subject.two_calls(subject.module, subject.inputs)  # kept, as a cache holds weak references
    weights = [variable.numpy() for variable in variables]
    try:
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(np.asarray(1.1 * weight + 0.01, weight.dtype))
        again = subject.two_calls(subject.module, subject.inputs)
        fresh = subject.two_calls(subject.module, subject.fresh())
    finally:
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)
    if compare(before, fresh)[0] == 0.0:
        raise Skipped("no result depends on a variable")
    error, remark = compare(again, fresh)
    return error, f"{remark}, after an assign: a cache answered. tfp_nvp.bijectors.Stock wraps a bijector without one"


def graph(subject: Subject) -> tuple[float, str]:
    """A `tf.function` agrees with eager execution."""
    return compare(subject.traced(subject.fresh()), subject.expected)


def xla(subject: Subject, compiled: Subject) -> tuple[float, str]:
    """What `compiled` computes with XLA agrees with what `subject` computes eagerly."""
    return compare(compiled.compiled, subject.expected)


def saved_model(subject: Subject) -> tuple[float, str]:
    """A SavedModel with any batch size, loaded again, computes the same."""
    specs = {
        name: tf.TensorSpec([None, *value.shape[1:]], value.dtype, name=name) for name, value in subject.inputs.items()
    }
    servable = tf.Module()
    servable.weights = subject.module.variables
    servable.compute = tf.function(
        lambda inputs: subject.compute(subject.module, inputs), input_signature=[specs], autograph=False
    )
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(servable, folder, options=options)
        loaded = tf.saved_model.load(folder)
        return compare(loaded.compute(subject.fresh()), subject.expected)


def batch_shapes(subject: Subject) -> tuple[float, str]:
    """Batches of shape (3,) and (2, 3) agree with their rows, computed one by one with batch shape ()."""
    alone = [subject.compute(subject.module, subject.row(i)) for i in range(NUM_ROWS)]
    worst, where = 0.0, ""
    for shape in ((3,), (2, 3)):
        expected = {
            name: np.reshape([row[name] for row in alone[: math.prod(shape)]], (*shape, *alone[0][name].shape))
            for name in alone[0]
        }
        error, remark = compare(subject.compute(subject.module, subject.batch(shape)), expected)
        if not error <= worst:
            worst, where = error, f"batch shape {shape}: {remark}"
    return worst, where


def float64(subject: Subject) -> tuple[float, str]:
    """The module agrees with one of float64 with the same weights."""
    twin = float64_twin(subject.module)
    inputs = {
        name: tf.cast(value, tf.float64) if value.dtype.is_floating else value for name, value in subject.inputs.items()
    }
    return compare(subject.expected, subject.compute(twin, inputs))


def float64_twin(module: Any) -> Any:
    """Builds `module` again with `dtype="float64"`, and copies its weights in order."""
    if "dtype" not in module.parameters:
        raise Skipped("its constructor has no argument `dtype`, so it can't be built again in float64")
    if module.dtype != tf.float32:
        raise Skipped(f"it is of dtype {module.dtype and module.dtype.name}, not float32")
    try:
        arguments = {name: _in_float64(value) for name, value in module.parameters.items()}
        twin = type(module)(**{**arguments, "dtype": "float64"})
    except (TypeError, ValueError) as error:
        raise Skipped(f"building it again in float64 raised {type(error).__name__}: {error}") from error
    if [v.shape for v in twin.variables] != [v.shape for v in module.variables]:
        raise Skipped("built again in float64, it has other variables")
    for new, old in zip(tf_variables(twin), tf_variables(module), strict=True):
        new.assign(tf.cast(old, new.dtype))
    return twin


def _in_float64(argument: Any) -> Any:
    """Builds a Keras layer again in float64; returns any other argument unchanged."""
    if isinstance(argument, keras.layers.Layer):
        return type(argument).from_config({**argument.get_config(), "dtype": "float64"})
    return argument


def used_variables(subject: Subject) -> list[tf.Variable]:
    """The variables, trainable or not, that results depend on."""
    with tf.GradientTape() as tape:
        subject.evaluate()
    used = {id(variable): variable for variable in tape.watched_variables()}
    # A graph also has the variables that are not trainable. The check of graphs reports a failure to trace.
    with contextlib.suppress(Exception):
        used |= {id(variable): variable for variable in subject.traced.graph.variables}
    return list(used.values())


def condition(subject: Subject) -> tuple[float, str]:
    """Computing without the condition that the module takes, or with one that it does not take, raises."""
    if not hasattr(subject.module, "condition_shape"):
        raise Skipped("it has no `condition_shape`")
    inputs = subject.fresh()
    is_missing = inputs.pop("condition", None) is not None
    if not is_missing:
        inputs["condition"] = tf.zeros([1], inputs["x"].dtype)
    try:
        subject.compute(subject.module, inputs)
    except (TypeError, ValueError):
        return 0.0, ""
    return 1.0, "a missing condition is accepted" if is_missing else "an unexpected condition is accepted"
