"""Large requests are answered in chunks, as small ones would be."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp.training._models import chunks


@pytest.fixture
def watched(monkeypatch):
    """Chunks of 10 rows; a function that makes a model which notes how many rows its distribution is asked for."""
    monkeypatch.setattr(chunks, "rows_at_once", lambda event_shape: 10)
    largest = []

    def make(encoder=None, **arguments):
        flow = nvp.NICE([2], num_layers=2, hidden_units=[4], seed=0, **arguments)
        model = nvp.FlowModel(flow, encoder)
        for name in ("_encode", "_decode", "_log_prob", "_sample_n", "_sample_and_log_prob"):
            whole = getattr(flow, name)

            def noting(x, *rest, whole=whole, name=name, **kwargs):
                result = whole(x, *rest, **kwargs)
                first = result[0] if isinstance(result, tuple) else result
                largest.append(int(np.prod(first.shape[: -1 if first.shape[-1:] == [2] else None])))
                return result

            object.__setattr__(flow, name, noting)
        return model, largest

    return make


def test_rows_come_in_chunks(watched, x):
    model, largest = watched()
    whole = model.distribution.log_prob(x)
    largest.clear()
    for given in (x, tf.constant(x), x.astype(np.float64)):
        np.testing.assert_allclose(model.log_prob(given), whole, rtol=1e-5)
    z, log_det = model.encode(x)
    back, _ = model.decode(z)
    np.testing.assert_allclose(back, x, atol=1e-4)
    assert (z.shape, log_det.shape) == ((256, 2), (256,))
    outputs = model.outputs(x)
    for name, value in {"z": z, "log_det": log_det, "log_prob": whole}.items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.bits_per_dim(x), -whole / (2 * np.log(2.0)), rtol=1e-5)
    assert largest
    assert max(largest) <= 10


@pytest.mark.parametrize("kind", ["each", "one", "one row", "encoder", "dict"])
def test_conditions_are_cut_with_their_rows(kind, watched, x):
    encoder, condition = None, x
    if kind == "encoder":
        encoder = keras.Sequential([keras.Input([2]), keras.layers.Dense(2)])
    if kind == "dict":
        a, b = (keras.Input([1], name=name) for name in "ab")
        encoder = keras.Model({"a": a, "b": b}, keras.layers.Concatenate()([a, b]))
        condition = {"a": x[:, :1], "b": x[:, 1:]}
    if kind.startswith("one"):
        condition = x[0] if kind == "one" else x[:1]
    model, largest = watched(encoder, condition_shape=[2])
    whole = model.distribution.log_prob(x, condition=model._encoded(model._accepted(condition)))
    largest.clear()
    np.testing.assert_allclose(model.log_prob(x, condition=condition), whole, rtol=1e-5)
    assert max(largest) <= 10


def test_samples_come_in_chunks_that_differ_and_of_a_seed_are_equal(watched, x):
    model, _ = watched(condition_shape=[2])
    for shape, condition, expected in [
        (25, x[0], (25, 2)),
        ((3, 7), x[0], (3, 7, 2)),
        (25, x[:3], (25, 3, 2)),
        (2, x[:35], (2, 35, 2)),
        ((), x[:35], (35, 2)),
        ((), x[0], (2,)),
        (0, x[0], (0, 2)),
    ]:
        samples = model.sample(shape, seed=1, condition=condition).numpy()
        assert samples.shape == expected
        np.testing.assert_array_equal(samples, model.sample(shape, seed=1, condition=condition))
        rows = samples.reshape(-1, 2)
        assert len(np.unique(rows, axis=0)) == len(rows)
    drawn, log_prob = model.sample_and_log_prob(25, seed=[1, 2], condition=x[:3])
    assert (drawn.shape, log_prob.shape) == ((25, 3, 2), (25, 3))
    np.testing.assert_allclose(log_prob, model.distribution.log_prob(drawn, condition=x[:3]), rtol=1e-4, atol=1e-5)
    assert not np.array_equal(model.sample(25, condition=x[0]), model.sample(25, condition=x[0]))


def test_gradients_pass_and_graphs_are_whole(watched, x):
    model, largest = watched()
    value = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(value)
        cut, whole = tf.reduce_sum(model.log_prob(value)), tf.reduce_sum(model.distribution.log_prob(value))
    np.testing.assert_allclose(tape.gradient(cut, value), tape.gradient(whole, value), rtol=1e-4, atol=1e-5)
    largest.clear()
    tf.function(model.log_prob)(value)
    assert max(largest) == 256


def test_integers_in_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "rows_at_once", lambda event_shape: 10)
    layers = [tfp.bijectors.Sigmoid(), tfp.bijectors.Scale([0.7, 1.3]), tfp.bijectors.Shift([0.3, -0.5])]
    flow = nvp.Flow(nvp.distributions.StandardNormal([2]), nvp.bijectors.Chain(layers))
    model = nvp.FlowModel(nvp.Dequantized(flow, levels=4))
    x = np.zeros((25, 2), np.int32)
    log_prob = model.log_prob(x, seed=3, num_samples=2).numpy()
    assert len(np.unique(log_prob)) == 25  # every row has noise of its own
    np.testing.assert_array_equal(log_prob, model.log_prob(x, seed=3, num_samples=2))
    z, log_det = model.encode(x, seed=3)
    assert (z.shape, log_det) == ((25, 2), None)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (2.5, "`sample_shape` must be a list of sizes"),
        ("3", "`sample_shape` must be a list of sizes"),
        (True, "`sample_shape` must be a list of sizes"),
        (None, "`sample_shape` must be a list of sizes"),
        (-1, r"`sample_shape\[0\]` must be at least 0; got -1"),
        ([2, -1], r"`sample_shape\[1\]` must be at least 0; got -1"),
    ],
)
def test_what_is_no_shape_of_samples_is_refused(shape, message, make_model):
    with pytest.raises((TypeError, ValueError), match=message):
        make_model().sample(shape)


def test_more_samples_than_the_memory_holds_are_refused_at_once(make_model):
    for shape in (2**62, [2**31, 2**31]):
        with pytest.raises(MemoryError, match="Draw them in parts, with a seed for each"):
            make_model().sample(shape)


def test_shapes_of_samples(make_model):
    model = make_model()
    for shape, right in (
        (0, (0, 2)),
        ((), (2,)),
        ([3, 2], (3, 2, 2)),
        (tf.constant([4]), (4, 2)),
        (np.int64(2), (2, 2)),
    ):
        assert model.sample(shape, seed=1).shape == right
