"""Shapes that are known when a graph is traced stay known: layers after a layer, and Keras, rely on it."""

import pytest
import tensorflow as tf

from tests.conformance.cases import BIJECTORS, Case, built, data, each


@pytest.mark.parametrize("case", each(BIJECTORS))
def test_only_the_number_of_rows_is_unknown(case: Case):
    bijector, (x, condition) = built(case), data(case)
    keywords = {} if condition is None else {"condition": condition}
    z = bijector.inverse(x, **keywords)
    unknown = {name: tf.TensorSpec([None, *value.shape[1:]], value.dtype) for name, value in keywords.items()}
    for function, value, result in ((bijector.inverse, x, z), (bijector.forward, z, x)):
        traced = tf.function(lambda value, function=function, **keywords: function(value, **keywords))
        rows = tf.TensorSpec([None, *value.shape[1:]], value.dtype)
        (output,) = traced.get_concrete_function(rows, **unknown).outputs
        assert output.shape[1:] == result.shape[1:], function.__name__
