"""Conditions in any container, dtype and shape are those of an array of floats."""

import functools

import numpy as np
import pandas as pd
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import tfp_nvp as nvp
from tfp_nvp.training._models.schema import Schema
from tfp_nvp.training._models.standardize import Standardize

CONTAINERS = {
    "array": np.asarray,
    "list": lambda c: c.tolist(),
    "tuple": lambda c: tuple(map(tuple, c.tolist())),
    "tensor": tf.constant,
    "object": lambda c: c.astype(object),
    "masked": np.ma.asarray,
    "fortran": np.asfortranarray,
    "view": lambda c: np.repeat(c, 2, axis=0)[::2],
}
DTYPES = ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "uint64", "bool"]


@functools.cache
def model(size: int, encoded: bool) -> nvp.FlowModel:
    """A flow that depends on its condition, of named columns."""
    flow = nvp.RealNVP([2], num_layers=2, hidden_units=[4], condition_shape=[size], seed=0)
    rng = np.random.default_rng(0)
    for variable in flow.trainable_variables:
        variable.assign(rng.normal(size=variable.shape, scale=0.3))
    encoder = Standardize(np.arange(size), 1.0 + np.arange(size), np.arange(size) % 2) if encoded else None
    names = tuple("abc"[:size])
    return nvp.FlowModel(flow, encoder, schema=Schema(columns=("x", "y"), condition_columns=names))


@given(
    st.integers(1, 3),
    st.booleans(),
    st.integers(2, 5),
    st.sampled_from(DTYPES),
    st.sampled_from([*CONTAINERS, "frame", "vector"]),
    st.integers(0, 2**16),
)
def test_conditions_of_any_form(size, encoded, rows, dtype, container, seed):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, 5, size=(rows, size)).astype(dtype)
    floats, x = numbers.astype(np.float32), rng.normal(size=(rows, 2)).astype(np.float32)
    if container == "frame":
        order = rng.permutation(size)
        condition = pd.DataFrame(numbers, columns=list("abc"[:size])).iloc[:, order]
    elif container == "vector":
        condition = numbers[:, 0] if size == 1 else numbers
    else:
        condition = CONTAINERS[container](numbers)
    flow = model(size, encoded)
    np.testing.assert_array_equal(flow.log_prob(x, condition), flow.log_prob(x, floats))
    np.testing.assert_array_equal(flow.sample(3, seed=1, condition=condition), flow.sample(3, seed=1, condition=floats))
    np.testing.assert_array_equal(flow.encode(x, condition)[0], flow.encode(x, floats)[0])
    np.testing.assert_array_equal(flow.given(condition).log_prob(x), flow.given(floats).log_prob(x))
    np.testing.assert_array_equal(flow.as_conditions(condition), floats)
