"""Sizes that are not known when a graph is traced are checked when it runs: nothing broadcasts in silence."""

import pytest
import tensorflow as tf

from tests.conformance.cases import CASES, Case, built, data, each


@pytest.mark.parametrize("case", each([case for case in CASES if case.event_shape]))
def test_events_of_unknown_size_are_checked_in_the_graph(case: Case):
    module, (x, condition) = built(case), data(case)
    method = module.log_prob if hasattr(module, "log_prob") else module.inverse
    specs = [tf.TensorSpec([None] * value.ndim, value.dtype) for value in (x, condition) if value is not None]
    if condition is None:
        function = tf.function(lambda x: method(x), input_signature=specs)
    else:
        function = tf.function(lambda x, condition: method(x, condition=condition), input_signature=specs)
    if "squeeze" in case.name:
        with pytest.raises(ValueError, match="known in advance"):
            function.get_concrete_function()
        return
    arguments = [value for value in (x, condition) if value is not None]
    tf.debugging.assert_near(function(*arguments), method(*arguments[:1], **keywords(condition)), 1e-3, 1e-3)
    if not case.any_shape:
        narrow, wide = x[..., :1], tf.concat([x, x], axis=-1)
        for wrong in (wide, *([narrow] if x.shape[-1] > 1 else [])):
            with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
                function(wrong, *arguments[1:])
    if condition is not None:
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
            function(x, tf.concat([condition, condition], axis=-1))


def keywords(condition):
    return {} if condition is None else {"condition": condition}
