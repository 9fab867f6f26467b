"""Checks every guarantee of a flow."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.testing import guarantees, rounding
from tfp_nvp.testing.bijector_checks import (
    MAPS,
    bijector_subject,
    condition_shape_of,
    measure_maps,
    measure_module,
    static_shape,
)
from tfp_nvp.testing.report import Report
from tfp_nvp.testing.subject import Subject, Tensors, compare, keywords, rows_of

tfd = tfp.distributions

NAMES = (
    *MAPS,
    "log_prob",
    "sample_shapes",
    "sample_log_prob",
    "equal_seeds",
    "batch_shapes",
    "variables_tracked",
    "gradients",
    "no_stale_results",
    "graph",
    "xla",
    "xla_samples",
    "float64",
    "saved_model",
    "condition",
)

#: A stateless seed, so that stock distributions too repeat their samples.
SEED = (11, 12)


def check_flow(
    flow: tfd.Distribution,
    x: Any,
    condition: Any = None,
    *,
    tolerance: float | None = None,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Checks a flow, ours or a `tfd.TransformedDistribution`, on data x.

        inverse_of_forward … one_pass   its bijector, as in `check_bijector`
        log_prob            equals the base's at z plus the log-det
        sample_shapes       sample shape, then batch, then event, for (), 3 and [2, 3]
        sample_log_prob     `experimental_sample_and_log_prob` agrees with `log_prob`
        equal_seeds         give equal samples, and other seeds other ones
        batch_shapes        (), (3,) and (2, 3) agree
        variables_tracked   every variable that results depend on is in `.variables`
        gradients           of `log_prob` by each of `.trainable_variables` exist and are finite
        no_stale_results    after a weight has changed, the same tensor gives the new `log_prob`
        graph               `tf.function` agrees with eager, samples too
        xla                 `jit_compile=True` agrees with eager
        xla_samples         the same as sample_log_prob, for samples of `jit_compile=True`
        float64             a float64 twin agrees, if there is a `dtype` argument to build one
        saved_model         saved, loaded, and still the same, samples too
        condition           a missing or unexpected one raises

    For any other distribution, checks of a bijector are omitted.

    Args:
      flow: the distribution.
      x: [..., *batch_shape, *event_shape]; the first 6 rows are used.
      condition: [..., *condition_shape], one for each row; or None.
      tolerance: as for `check_bijector`.
      only: names of the checks to run; None for all.
      skip: names of checks not to run.
      raise_on_failure: whether to raise if a check failed.

    Returns:
      The report; its text is a table.

    Raises:
      AssertionError: if a check failed, with the report's text.
      TypeError: if `flow` is not a distribution.
      ValueError: if x or the condition do not fit, or for an unknown name of a check.

    >>> base = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    >>> stock = tfd.TransformedDistribution(base, tfp.bijectors.Sigmoid())
    >>> check_flow(stock, [[0.1, 0.9]], only=["log_prob", "sample_log_prob"]).passed
    True
    """
    if not isinstance(flow, tfd.Distribution):
        raise TypeError(f"`flow` must be a tfd.Distribution; got {flow!r}.")
    if not flow.dtype.is_floating:
        raise TypeError(f"`flow` must have events of real numbers; those of {flow.name} are {flow.dtype.name}.")
    row_ndims = len(flow.batch_shape) + len(flow.event_shape)
    inputs = _inputs(flow, x, condition, row_ndims)
    if tolerance is None:
        tolerance = rounding.tolerance_of(flow, inputs["x"].dtype)
    title = f"check_flow({type(flow).__name__} {flow.name!r})"
    report = Report(title, tolerance=tolerance, names=NAMES, only=only, skip=skip)
    _measure_bijector(report, flow, inputs)
    subject = Subject(flow, _log_prob, _log_prob, inputs)
    for name, check in (
        ("sample_shapes", _sample_shapes),
        ("sample_log_prob", _sample_log_prob),
        ("equal_seeds", _equal_seeds),
    ):
        report.measure(name, partial(check, subject))
    whole = Subject(flow, _log_prob_and_samples, _log_prob, inputs)
    compiled = Subject(flow, _log_prob_and_samples_with_theirs, _log_prob, inputs)
    measure_module(report, subject, whole, compiled)
    report.measure("xla_samples", partial(_xla_samples, compiled))
    report.measure("condition", partial(guarantees.condition, whole), tolerance=0.0)
    return report.raise_on_failure() if raise_on_failure else report


def _inputs(flow: Any, x: Any, condition: Any, row_ndims: int) -> Tensors:
    inputs = {"x": rows_of("x", x, row_ndims, flow.dtype)}
    if condition is not None:
        shape = as_fittable(flow).condition_shape
        ndims = len(static_shape(condition)) - (len(static_shape(x)) - row_ndims) if shape is None else len(shape)
        rows = rows_of("condition", condition, ndims, flow.dtype)
        # Dimensions of 1 after the rows broadcast with the batch.
        inputs["condition"] = tf.reshape(rows, (rows.shape[0], *[1] * len(flow.batch_shape), *rows.shape[1:]))
    return inputs


def _measure_bijector(report: Report, flow: Any, inputs: Mapping[str, tf.Tensor]) -> None:
    if not hasattr(flow, "bijector"):
        return
    if report.asks_for(MAPS):
        rank = len(flow.event_shape)
        rank += flow.bijector.experimental_batch_shape(y_event_ndims=rank).rank or 0
        condition = _bijector_condition(flow, inputs)
        measure_maps(report, bijector_subject(flow.bijector, inputs["x"], condition, rank))
    report.measure("log_prob", partial(_sum_of_parts, flow, inputs))


def _bijector_condition(flow: Any, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor | None:
    """The condition of every event of x, if the bijector takes one."""
    shape = condition_shape_of(flow.bijector)
    if shape is None:
        return None
    batch = inputs["x"].shape[: inputs["x"].shape.rank - len(flow.event_shape)]
    return tf.broadcast_to(inputs["condition"], (*batch, *shape))


def _log_prob(flow: Any, inputs: Mapping[str, tf.Tensor]) -> Tensors:
    return {"log_prob": flow.log_prob(inputs["x"], **keywords(inputs))}


def _log_prob_and_samples(flow: Any, inputs: Mapping[str, tf.Tensor]) -> Tensors:
    return {**_log_prob(flow, inputs), "samples": _sample(flow, 2, inputs)}


def _log_prob_and_samples_with_theirs(flow: Any, inputs: Mapping[str, tf.Tensor]) -> Tensors:
    seed = tf.constant(SEED, tf.int32)
    samples, log_prob = flow.experimental_sample_and_log_prob(2, seed=seed, **keywords(inputs))
    return {**_log_prob(flow, inputs), "samples": samples, "log_prob_of_samples": log_prob}


def _sample(flow: Any, sample_shape: Any, inputs: Mapping[str, tf.Tensor], seed: Any = SEED) -> tf.Tensor:
    return flow.sample(sample_shape, seed=tf.constant(seed, tf.int32), **keywords(inputs))


def _sum_of_parts(flow: Any, inputs: Mapping[str, tf.Tensor]) -> tuple[float, str]:
    condition = _bijector_condition(flow, inputs)
    given = {} if condition is None else {"condition": condition}
    x = tf.identity(inputs["x"])
    z = tf.identity(flow.bijector.inverse(x, **given))
    log_det = flow.bijector.inverse_log_det_jacobian(x, event_ndims=len(flow.event_shape), **given)
    takes_condition = as_fittable(flow.distribution).condition_shape is not None
    log_prob = flow.distribution.log_prob(z, **keywords(inputs) if takes_condition else {})
    return compare(_log_prob(flow, inputs), {"log_prob": log_prob + log_det})


def _sample_shapes(subject: Subject) -> tuple[float, str]:
    flow, inputs = subject.module, subject.fresh()
    batch = tuple(flow.batch_shape)
    if "condition" in inputs:
        batch = np.broadcast_shapes(batch, inputs["condition"].shape[: 1 + len(batch)])
    for sample_shape in ((), 3, (2, 3)):
        right = (*np.atleast_1d(np.asarray(sample_shape, int)), *batch, *flow.event_shape)
        samples = _sample(flow, sample_shape, inputs)
        if tuple(samples.shape) != right or samples.dtype != flow.dtype:
            return math.inf, (
                f"sample({sample_shape}) is {samples.dtype.name} {list(samples.shape)} "
                f"where {flow.dtype.name} {[int(size) for size in right]} is right"
            )
    return 0.0, ""


def _sample_log_prob(subject: Subject) -> tuple[float, str]:
    flow, condition = subject.module, keywords(subject.inputs)
    samples, log_prob = flow.experimental_sample_and_log_prob(4, seed=tf.constant(SEED, tf.int32), **condition)
    return _compare_densities(subject, samples, log_prob)


def _xla_samples(subject: Subject) -> tuple[float, str]:
    # XLA draws other numbers for the same seed, so the samples themselves can't be compared.
    return _compare_densities(subject, subject.compiled["samples"], subject.compiled["log_prob_of_samples"])


def _compare_densities(subject: Subject, samples: tf.Tensor, log_prob: tf.Tensor) -> tuple[float, str]:
    """Compares the densities that came with samples to those that `log_prob` gives them, as far as x is exact."""
    flow, condition = subject.module, keywords(subject.inputs)

    def of_samples(x: tf.Tensor) -> tf.Tensor:
        return flow.log_prob(x, **condition)

    right = of_samples(tf.identity(samples))
    allowed = rounding.rounding_error(of_samples, tf.identity(samples), rounding.num_layers(flow))
    within = tf.clip_by_value(log_prob, right - allowed, right + allowed)
    return compare({"log_prob": log_prob + (right - within)}, {"log_prob": right})


def _equal_seeds(subject: Subject) -> tuple[float, str]:
    flow, inputs = subject.module, subject.inputs
    samples = {"samples": _sample(flow, 4, inputs)}
    error, remark = compare({"samples": _sample(flow, 4, inputs)}, samples)
    other = _sample(flow, 4, inputs, (SEED[0], SEED[1] + 1))
    if np.array_equal(other, samples["samples"]):
        return math.inf, "another seed gives the same samples"
    return error, remark
