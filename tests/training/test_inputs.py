"""Whatever `fit` accepts, every method of the model accepts."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp.training._tables.columns import as_table

tfd = tfp.distributions


@pytest.fixture(scope="module")
def conditional():
    """A model of two columns given two of integers, which fit took as integers."""
    rng = np.random.default_rng(0)
    condition = rng.integers(0, 9, size=(300, 2))
    x = condition @ [[1.0, 0.0], [0.0, 0.5]] + rng.normal(size=(300, 2))
    return nvp.fit(x, condition, epochs=1, seed=0, verbose=0, flow=small), x, condition


FORMS = {
    "int64": np.asarray,
    "uint8": lambda c: c.astype(np.uint8),
    "bool": lambda c: c.astype(bool),
    "float16": lambda c: c.astype(np.float16),
    "object": lambda c: c.astype(object),
    "list": lambda c: c.tolist(),
    "tuple": lambda c: tuple(map(tuple, c.tolist())),
    "frame": pd.DataFrame,
    "nullable": lambda c: pd.DataFrame(c).astype("Int64"),
    "tensor": tf.constant,
    "variable": lambda c: tf.Variable(c, dtype=tf.int32),
    "keras": lambda c: keras.Variable(c.astype("float32")),
}


@pytest.mark.parametrize("form", FORMS)
def test_conditions_of_any_dtype_are_those_of_floats(form, conditional):
    model, x, condition = conditional
    rows, floats = x[:4], condition[:4].astype(bool).astype(float) if form == "bool" else condition[:4].astype(float)
    given = FORMS[form](condition[:4])
    np.testing.assert_array_equal(model.log_prob(rows, given), model.log_prob(rows, floats))
    np.testing.assert_array_equal(model.sample(2, seed=1, condition=given), model.sample(2, seed=1, condition=floats))
    for one, other in zip(
        (*model.sample_and_log_prob(2, 1, given), *model.encode(rows, given), *model.decode(rows, given)),
        (*model.sample_and_log_prob(2, 1, floats), *model.encode(rows, floats), *model.decode(rows, floats)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.given(given).log_prob(rows), model.given(floats).log_prob(rows))
    np.testing.assert_array_equal(nvp.evaluation.ranks(model, rows, given), nvp.evaluation.ranks(model, rows, floats))
    np.testing.assert_array_equal(
        nvp.evaluation.credibility(model, rows, given), nvp.evaluation.credibility(model, rows, floats)
    )
    if form not in ("variable", "keras"):  # Keras' data are arrays and tensors
        np.testing.assert_array_equal(model.predict((given, rows), verbose=0), model.predict((floats, rows), verbose=0))
        assert model.evaluate(given, rows, verbose=0) == pytest.approx(model.evaluate(floats, rows, verbose=0))


@pytest.mark.parametrize("form", FORMS)
def test_tables_of_any_dtype_are_those_of_floats(form, conditional):
    condition = conditional[2]
    floats = condition.astype(bool) if form == "bool" else condition
    for name in ("x", "condition"):
        np.testing.assert_array_equal(as_table(name, FORMS[form](condition)).values, floats.astype(np.float64))


def test_what_fit_takes_a_model_fits_on(conditional):
    _, x, condition = conditional
    given, rows = FORMS["nullable"](condition), pd.DataFrame(x).astype("Float64")
    model = nvp.fit(rows, given, epochs=1, seed=0, verbose=0, flow=small)
    model.fit(given, rows, validation_data=(condition.astype(np.uint8), x.tolist()), epochs=1, verbose=0)
    assert np.isfinite(model.log_prob(rows[:4], given[:4])).all()


def test_streams_of_integers(conditional):
    model, x, condition = conditional
    data = tf.data.Dataset.from_tensor_slices((condition, x)).batch(100)
    expected = model.evaluate(condition, x, batch_size=100, verbose=0)
    assert model.evaluate(data, verbose=0) == pytest.approx(expected, rel=1e-6)


def test_events_of_any_dtype(conditional):
    model = nvp.FlowModel(tfd.MultivariateNormalDiag([0.0, 1.0]))
    x = np.array([[1, 2], [3, 4]])
    expected = model.log_prob(x.astype(np.float32))
    for given in (x, x.astype(np.uint8), x.tolist(), pd.DataFrame(x), tf.constant(x), x.astype(object)):
        np.testing.assert_array_equal(model.log_prob(given), expected)
        np.testing.assert_array_equal(model.predict(given, verbose=0), expected)
    assert model.log_prob(pd.Series([1, 2])).shape == []
    with pytest.raises(TypeError, match="complex"):
        model.log_prob(tf.constant([[1j, 2.0]]))


def test_one_condition_column_may_be_a_vector(conditional):
    _, x, condition = conditional
    column = condition[:, 0]
    model = nvp.fit(x, column, epochs=1, seed=0, verbose=0, flow=small)
    expected = model.log_prob(x[:3], column[:3, np.newaxis])
    for given in (column[:3], column[:3].tolist(), pd.Series(column[:3]), tf.constant(column[:3])):
        np.testing.assert_array_equal(model.log_prob(x[:3], given), expected)
        assert model.sample(5, condition=given).shape == [5, 3, 2]
    np.testing.assert_allclose(model.predict((column[:3], x[:3]), verbose=0), expected, rtol=1e-5)
    assert model.predict((column[:1], x[:1]), verbose=0).shape == (1,)
    assert model.sample(5, condition=column[:1]).shape == [5, 2]  # one condition of size 1
    assert model.sample(5, condition=3).shape == [5, 2]
    assert model.given(3.0).event_shape == [2]
    assert nvp.evaluation.ranks(model, x[:3], column[:3], num_samples=5).shape == (3, 2)
    model.fit(column, x, validation_data=(column, x), epochs=1, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices((column, x)).batch(64)
    assert np.isfinite(model.evaluate(batches, verbose=0)).all()


def test_a_plain_model_takes_a_vector_for_conditions_of_size_one(rng):
    model = nvp.FlowModel(small([2], [1], seed=0))
    model.compile()
    x, column = rng.normal(size=(40, 2)), rng.integers(0, 3, size=40)
    model.fit(column, x, epochs=1, verbose=0)
    np.testing.assert_array_equal(model.log_prob(x, column), model.log_prob(x, column[:, np.newaxis]))
    row = nvp.FlowModel(small([2], [3], seed=0))
    assert row.sample(5, condition=[1, 2, 3]).shape == [5, 2]  # one row of size 3


def test_a_constant_condition_column_is_ignored_whatever_it_holds(rng):
    """Zero means zero: its weights were never trained."""
    condition = np.stack([rng.normal(size=300), np.full(300, 3.0)], axis=1)
    x = condition[:, :1] + rng.normal(size=(300, 2))
    with pytest.warns(UserWarning, match=r"constant in the training rows: 1 \(always 3\)"):
        model = nvp.fit(x, condition, epochs=1, seed=0, verbose=0, flow=small)
    at = [model.log_prob(x[:5], np.stack([condition[:5, 0], np.full(5, value)], axis=1)) for value in (3, 1000, -1e30)]
    np.testing.assert_array_equal(at[0], at[1])
    np.testing.assert_array_equal(at[0], at[2])


def test_the_encoder_of_a_users_own_gets_its_inputs_in_their_dtypes(rng):
    seen = []

    class Look(keras.layers.Layer):
        def call(self, inputs):
            seen.append(tf.nest.map_structure(lambda value: value.dtype, inputs))
            if isinstance(inputs, dict):
                return tf.cast(inputs["class"], tf.float32)[:, tf.newaxis] + inputs["size"][:, tf.newaxis]
            return tf.cast(tf.strings.length(inputs) if inputs.dtype == tf.string else inputs, tf.float32)

    model = nvp.FlowModel(small([2], [1], seed=0), Look())
    x = rng.normal(size=(3, 2)).astype(np.float32)
    model.log_prob(x, {"class": np.array([1, 2, 3]), "size": np.float32([1, 2, 3])})
    assert seen.pop() == {"class": tf.int64, "size": tf.float32}
    model.log_prob(x, np.array([["a"], ["bb"], ["c"]]))
    assert seen.pop() == tf.string
    model.log_prob(x, [[1], [2], [3]])
    assert seen.pop() == tf.int64
    model.log_prob(x, pd.DataFrame({"a": np.array([1, 2, 3], np.uint8)}))
    assert seen.pop() == tf.uint8
    with pytest.raises(ValueError, match="masked"):
        model.log_prob(x, {"class": np.ma.array([1, 2, 3], mask=[0, 0, 1]), "size": np.float32([1, 2, 3])})


def test_an_embedding_of_integers(rng):
    encoder = keras.Sequential([keras.Input([], dtype="int32"), keras.layers.Embedding(5, 1)])
    model = nvp.FlowModel(small([2], [1], seed=0), encoder)
    model.compile()
    x, classes = rng.normal(size=(40, 2)), rng.integers(0, 5, size=40)
    model.fit(classes, x, epochs=1, verbose=0)
    expected = model.log_prob(x, classes)
    for given in (classes.tolist(), classes.astype(np.uint8), pd.Series(classes), tf.constant(classes)):
        np.testing.assert_array_equal(model.log_prob(x, given), expected)
    np.testing.assert_allclose(model.predict((classes, x), verbose=0), expected, rtol=1e-5)


@pytest.mark.parametrize("where", ["x", "condition"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: np.ma.masked_less(np.where(np.arange(len(t))[:, None] == 3, -999.0, t), -900), "masked"),
        (lambda t: t * 1j, "complex"),
        (lambda t: np.full(t.shape, "2020", "M8[Y]"), "dates"),
        (lambda t: pd.DataFrame({"a": t[:, 0], "color": "red"}), "column 'color' holds text, 'red'"),
        (lambda t: np.full(t.shape, 2**63, np.uint64), "±2⁵³"),
        (lambda t: t * 1e-300, "can't resolve: 0, 1"),
        (lambda t: t * 1e-44, "can't resolve"),
        (lambda t: t * 1e38, "can't hold: 0, 1"),
        (lambda t: t * 1e300, "can't hold"),
        (lambda t: np.where(np.arange(len(t))[:, None] == 3, np.nan, t), r"1 row\(s\): 3, column\(s\) 0, 1"),
    ],
)
def test_fit_refuses_what_it_would_lose(where, spoil, message, rng):
    good, bad = rng.normal(size=(50, 2)), spoil(rng.normal(size=(50, 2)))
    with pytest.raises((TypeError, ValueError), match=rf"(?s)`{where}`.*{message}"):
        nvp.fit(*((bad, good) if where == "x" else (good, bad)), epochs=1, verbose=0, flow=small)


@pytest.mark.parametrize("method", ["log_prob", "encode", "predict", "evaluate", "fit"])
def test_methods_refuse_what_they_would_lose(method, rng):
    model = nvp.FlowModel(small([2], seed=0))
    model.compile()
    x = rng.normal(size=(4, 2))
    call = getattr(model, method)
    with pytest.raises(ValueError, match="masked"):
        call(np.ma.masked_greater(x, -1e9))
    with pytest.raises(TypeError, match="complex"):
        call(x * 1j)
    with pytest.raises(TypeError, match="text"):
        call(x.astype(str))
    if method in ("evaluate", "fit"):
        with pytest.raises(ValueError, match="float32"):
            call(x * 1e300)


def test_a_detector_takes_what_fit_takes(rng):
    x = rng.integers(0, 100, size=(200, 2))
    detector = nvp.AnomalyDetector(seed=0).fit(x.tolist(), false_positive_rate=0.1, flow=small, steps=10, verbose=0)
    expected = detector.score(x[:5].astype(float))
    for given in (x[:5], x[:5].astype(np.uint8), x[:5].tolist(), pd.DataFrame(x[:5])):
        np.testing.assert_array_equal(detector.score(given), expected)
    assert detector.predict([[np.nan, 0.0], [1e300, 0.0]]).all()
    with pytest.raises(ValueError, match="masked"):
        detector.score(np.ma.array([[1.0, 2.0]], mask=[[True, False]]))


@pytest.mark.parametrize("column", [0, 1])
def test_a_condition_that_is_no_number_has_no_density(column, rng):
    """In a column that was constant, it counts for nothing."""
    x = rng.normal(size=(64, 2))
    condition = np.stack([x[:, 0] + rng.normal(size=64), np.full(64, 3.0)], axis=1)
    with pytest.warns(UserWarning, match="constant in the training rows"):
        model = nvp.fit(x, condition, flow=small, epochs=1, seed=0, verbose=0)
    for bad in (np.inf, -np.inf, np.nan):
        spoiled = condition[:2].copy()
        spoiled[0, column] = bad
        assert np.isnan(model.log_prob(x[:2], condition=spoiled)).tolist() == [column == 0, False]
        assert np.isnan(model.sample(1, seed=1, condition=spoiled)[0]).all(axis=1).tolist() == [column == 0, False]
