"""Checks every guarantee of a bijector."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.testing import guarantees, rounding
from tfp_nvp.testing.jacobian import autodiff_log_det
from tfp_nvp.testing.report import Report, Skipped
from tfp_nvp.testing.subject import Subject, Tensors, compare, keywords, rows_of

tfb = tfp.bijectors

#: Checks of the two maps and their log-dets.
MAPS = ("inverse_of_forward", "forward_of_inverse", "forward_log_det", "inverse_log_det", "one_pass")
NAMES = (
    *MAPS,
    "batch_shapes",
    "variables_tracked",
    "gradients",
    "no_stale_results",
    "graph",
    "xla",
    "float64",
    "saved_model",
    "condition",
)


def check_bijector(
    bijector: tfb.Bijector,
    x: Any,
    condition: Any = None,
    *,
    event_ndims: int | None = None,
    tolerance: float | None = None,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    raise_on_failure: bool = True,
) -> Report:
    """Checks a bijector, ours, TFP's or your own, on data x.

        inverse_of_forward, forward_of_inverse   round trips, without a cache
        forward_log_det, inverse_log_det         against the Jacobian by automatic differentiation
        one_pass            `forward_and_log_det` agrees with `forward` and its log-det; so for inverse
        batch_shapes        (), (3,) and (2, 3) agree
        variables_tracked   every variable that results depend on is in `.variables`
        gradients           by each of `.trainable_variables` exist and are finite
        no_stale_results    after a weight has changed, the same tensor gives the new result
        graph, xla          `tf.function` and `jit_compile=True` agree with eager
        float64             a float64 twin agrees, if there is a `dtype` argument to build one
        saved_model         saved, loaded, and still the same
        condition           a missing or unexpected one raises

    Args:
      bijector: injective, from one tensor to one tensor.
      x: [..., *event], in the range of `forward`; the first 6 events are used.
      condition: [..., *condition_shape], one for each event; or None.
      event_ndims: rank of an event of x. By default the bijector's least, plus the rank of its
        batch shape; one Jacobian is computed for each event.
      tolerance: largest error relative to 1 + |value|. By default what rounding explains (`testing.rounding`), for
        each layer 4.8e-4 in float32 and 8.9e-13 in float64; at most 0.1, which a wrong formula
        exceeds; plus the bijector's `accuracy`, where it has one.
      only: names of the checks to run; None for all.
      skip: names of checks not to run. Skip the two log-dets if the bijector measures volumes
        in fewer coordinates than elements (as `tfb.CholeskyOuterProduct`, of a triangle).
      raise_on_failure: whether to raise if a check failed.

    Returns:
      The report; its text is a table.

    Raises:
      AssertionError: if a check failed, with the report's text.
      TypeError: if `bijector` is not one that can be checked.
      ValueError: if x or the condition do not fit, or for an unknown name of a check.

    >>> check_bijector(tfb.Softplus(), [0.5, 1.0, 2.0]).passed
    True
    """
    if not isinstance(bijector, tfb.Bijector):
        raise TypeError(f"`bijector` must be a tfb.Bijector; got {bijector!r}.")
    if tf.nest.is_nested(bijector.forward_min_event_ndims) or not bijector._is_injective:
        raise TypeError(f"`bijector` must map one tensor to one tensor, injectively; got {bijector!r}.")
    subject = bijector_subject(bijector, x, condition, event_ndims)
    if tolerance is None:
        tolerance = rounding.tolerance_of(bijector, subject.inputs["x"].dtype)
    title = f"check_bijector({type(bijector).__name__} {bijector.name!r})"
    report = Report(title, tolerance=tolerance, names=NAMES, only=only, skip=skip)
    measure_maps(report, subject)
    measure_module(report, subject, whole=subject, compiled=subject)
    report.measure("condition", partial(guarantees.condition, subject), tolerance=0.0)
    return report.raise_on_failure() if raise_on_failure else report


def measure_maps(report: Report, subject: Subject) -> None:
    """Runs the checks of the two maps and their log-dets."""
    report.measure("inverse_of_forward", partial(_round_trip, subject, "z", "x"))
    report.measure("forward_of_inverse", partial(_round_trip, subject, "x", "z"))
    report.measure("forward_log_det", partial(_log_det, subject, "z", "x"))
    report.measure("inverse_log_det", partial(_log_det, subject, "x", "z"))
    report.measure("one_pass", partial(_one_pass, subject))


def measure_module(report: Report, subject: Subject, whole: Subject, compiled: Subject) -> None:
    """Runs the checks of weights and batches, of graphs and files on `whole`, and of XLA on `compiled`."""
    report.measure("batch_shapes", partial(guarantees.batch_shapes, subject))
    report.measure("variables_tracked", partial(guarantees.variables_tracked, whole), tolerance=0.0)
    report.measure("gradients", partial(guarantees.gradients, subject), tolerance=0.0)
    report.measure("no_stale_results", partial(guarantees.no_stale_results, subject, whole))
    report.measure("graph", partial(guarantees.graph, whole))
    report.measure("xla", partial(guarantees.xla, subject, compiled))
    report.measure("float64", partial(guarantees.float64, subject))
    report.measure("saved_model", partial(guarantees.saved_model, whole))


def bijector_subject(bijector: tfb.Bijector, x: Any, condition: Any, event_ndims: int | None) -> Subject:
    """A bijector with rows of x, of z = inverse(x), and of the condition.

    It computes x and forward_log_det from z, and z and inverse_log_det from x.
    """
    if event_ndims is None:
        event_ndims = bijector.inverse_min_event_ndims + _batch_ndims(bijector)
    x_batch_ndims = len(static_shape(x)) - event_ndims
    x = rows_of("x", x, event_ndims, bijector.dtype)
    inputs = {"x": x}
    if condition is not None:
        shape = condition_shape_of(bijector)
        condition_ndims = len(static_shape(condition)) - x_batch_ndims if shape is None else len(shape)
        inputs["condition"] = rows_of("condition", condition, condition_ndims, bijector.dtype)
    # tf.identity keeps TFP's cache from finding the x of this z.
    inputs["z"] = tf.identity(bijector.inverse(tf.identity(x), **keywords(inputs)))
    ndims = (bijector.inverse_event_ndims(event_ndims), event_ndims)
    two_calls = partial(_two_calls, ndims=ndims)
    one_pass = partial(_in_one_pass, ndims=ndims) if hasattr(bijector, "forward_and_log_det") else two_calls
    return Subject(bijector, one_pass, two_calls, inputs)


def static_shape(value: Any) -> tuple[int, ...]:
    """The static shape of a tensor, an array or nested lists."""
    return tuple(tf.convert_to_tensor(value).shape)


def _batch_ndims(bijector: tfb.Bijector) -> int:
    try:
        return bijector.experimental_batch_shape(y_event_ndims=bijector.inverse_min_event_ndims).rank or 0
    except NotImplementedError:  # a user's bijector need not say
        return 0


def _in_one_pass(bijector: Any, inputs: Mapping[str, tf.Tensor], *, ndims: tuple[int, int]) -> Tensors:
    x, forward_log_det = bijector.forward_and_log_det(inputs["z"], event_ndims=ndims[0], **keywords(inputs))
    z, inverse_log_det = bijector.inverse_and_log_det(inputs["x"], event_ndims=ndims[1], **keywords(inputs))
    return {"x": x, "forward_log_det": forward_log_det, "z": z, "inverse_log_det": inverse_log_det}


def _two_calls(bijector: Any, inputs: Mapping[str, tf.Tensor], *, ndims: tuple[int, int]) -> Tensors:
    def per_event(log_det: tf.Tensor, value: tf.Tensor, event_ndims: int) -> tf.Tensor:
        # TFP allows a smaller shape for a log-det that is the same for all events.
        return tf.broadcast_to(log_det, tf.shape(value)[: value.shape.rank - event_ndims])

    z, x, condition = inputs["z"], inputs["x"], keywords(inputs)
    forward_log_det = bijector.forward_log_det_jacobian(z, event_ndims=ndims[0], **condition)
    inverse_log_det = bijector.inverse_log_det_jacobian(x, event_ndims=ndims[1], **condition)
    return {
        "x": bijector.forward(z, **condition),
        "forward_log_det": per_event(forward_log_det, z, ndims[0]),
        "z": bijector.inverse(x, **condition),
        "inverse_log_det": per_event(inverse_log_det, x, ndims[1]),
    }


def _round_trip(subject: Subject, start: str, middle: str) -> tuple[float, str]:
    there = {**subject.fresh(), middle: tf.identity(subject.expected[middle])}
    back = subject.compute(subject.module, there)
    return compare({start: back[start]}, {start: subject.inputs[start]})


def _log_det(subject: Subject, start: str, end: str) -> tuple[float, str]:
    if not getattr(subject.module, "has_exact_log_det", True):
        raise Skipped("its log-dets are estimates: `has_exact_log_det` is False")
    function: Callable = lambda inputs: subject.compute(subject.module, inputs)[end]  # noqa: E731
    name = "forward_log_det" if start == "z" else "inverse_log_det"
    return compare({name: subject.expected[name]}, {name: autodiff_log_det(function, subject.fresh(), start)})


def condition_shape_of(bijector: tfb.Bijector) -> tuple[int, ...] | None:
    """The shape of one condition; None if the bijector takes none, or, as stock ones, has no `condition_shape`."""
    return getattr(bijector, "condition_shape", None)


def _one_pass(subject: Subject) -> tuple[float, str]:
    if not hasattr(subject.module, "forward_and_log_det"):
        raise Skipped("it has no `forward_and_log_det`")
    return compare(subject.expected, subject.two_calls(subject.module, subject.fresh()))
