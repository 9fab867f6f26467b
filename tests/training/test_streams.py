"""Streams of batches: generators, datasets, PyDatasets."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp

# Keras warns at the end of any stream whose length it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")


def dataset(*batches):
    """Batches of different numbers of rows as a `tf.data.Dataset`."""
    spec = tf.nest.map_structure(lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), batches[0])
    return tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=spec)


@pytest.mark.parametrize("kind", ["arrays", "tuples", "lists of arrays", "map", "float64"])
def test_any_iterator_of_batches_is_fitted(kind, make_model, x):
    parts = np.split(x, 4)
    stream = {
        "arrays": (part for part in parts),
        "tuples": ((part,) for part in parts),
        "lists of arrays": ([part] for part in parts),
        "map": map(np.asarray, parts),
        "float64": (part.astype(np.float64) for part in parts),
    }[kind]
    model = make_model()
    model.fit(stream, epochs=1, verbose=0)
    assert int(model.optimizer.iterations) == 4
    assert model.evaluate(iter(parts), verbose=0, return_dict=True)["nll"] == pytest.approx(
        -np.mean(model.log_prob(x)), rel=1e-4
    )
    np.testing.assert_allclose(model.predict(iter(parts), verbose=0), model.log_prob(x), rtol=1e-4)


@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("kind", ["generator", "dataset"])
def test_an_empty_batch_is_passed_over(kind, place, make_model, x):
    parts = np.split(x, 4)
    whole, broken = make_model(), make_model()
    for model in (whole, broken):
        model.compile(keras.optimizers.SGD(1e-2))
        model.distribution.initialize(x)
    expected = whole.fit(dataset(*parts), epochs=1, verbose=0).history
    parts.insert(place, x[:0])
    stream = dataset(*parts) if kind == "dataset" else iter(parts)
    history = broken.fit(stream, epochs=1, verbose=0).history
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert history["nll"] == pytest.approx(expected["nll"], rel=1e-5)
    for value, wanted in zip(broken.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)


def test_streams_of_nothing_are_refused(make_model, x):
    for stream in (iter([]), iter([x[:0], x[:0]]), dataset(x[:0])):
        with pytest.raises(ValueError, match="must yield batches of rows; it yields none"):
            make_model().fit(stream, verbose=0)


def test_a_negative_weight_is_refused_or_stops_the_training(make_model, x):
    good = np.ones(64, np.float32)
    bad = np.where(np.arange(64) == 5, -1.0, good).astype(np.float32)
    model = make_model()
    with pytest.raises(ValueError, match=r"not negative.*row 5 has -1"):
        model.fit(x[:64], sample_weight=bad, verbose=0)
    with pytest.raises(ValueError, match="all 64 are zero"):
        model.fit(x[:64], sample_weight=0 * good, verbose=0)
    with pytest.raises(ValueError, match="`sample_weight of validation_data` must be finite and not negative"):
        model.fit(x, validation_data=(x[:64], None, bad), verbose=0)
    with pytest.raises(ValueError, match="not negative"):
        model.fit(iter([(x[:64], x[:64], bad)]), verbose=0)
    with pytest.raises(ValueError, match="not negative"):
        model.evaluate(x[:64], sample_weight=bad, verbose=0)
    later = dataset((x[:64], x[:64], good), (x[:64], x[:64], bad), (x[:64], x[:64], good))
    with pytest.warns(RuntimeWarning, match="First not finite: the sample weights, of which a negative one"):
        model.fit(later, verbose=0)
    assert int(model.optimizer.iterations) == 1


def test_a_batch_of_weights_that_are_all_zero_changes_nothing(make_model, x):
    model = make_model()
    model.compile(keras.optimizers.SGD(1e-2))
    model.distribution.initialize(x)
    before = model.get_weights()
    history = model.fit(dataset((x[:64], x[:64], np.zeros(64, np.float32))), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for value, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_class_weights_are_refused_with_the_way_out(make_model, x):
    with pytest.raises(ValueError, match=r"`class_weight` must be None.*`sample_weight=weight_of_class\[classes\]`"):
        make_model().fit(x, class_weight={0: 1.0}, verbose=0)


@pytest.mark.parametrize("wrong", [(), [], (None,), (1, 2, 3, 4)])
def test_validation_data_of_no_or_too_many_parts_are_refused(wrong, make_model, x):
    with pytest.raises(ValueError, match="`validation_data` must be"):
        make_model().fit(x, validation_data=wrong, verbose=0)


def test_validation_data_may_be_an_array_or_a_stream(make_model, x):
    for given in (x[:32], (x[:32],), [x[:32]], dataset(x[:16], x[16:32])):
        model = make_model()
        history = model.fit(x, validation_data=given, epochs=1, verbose=0).history
        assert history["val_nll"][0] == pytest.approx(-np.mean(model.log_prob(x[:32])), rel=1e-4)


def test_a_generator_of_conditions_and_events(x):
    model = nvp.FlowModel(nvp.NICE([2], num_layers=2, hidden_units=[4], condition_shape=[2], seed=0))
    model.compile()
    model.fit((pair for pair in [(x, x), (x[:0], x[:0]), (x, x)]), verbose=0)
    assert int(model.optimizer.iterations) == 2


@pytest.mark.parametrize(
    ("spoiled", "error", "message"),
    [
        (lambda x: np.ma.masked_array(x, x < 0.0), ValueError, "masked"),
        (lambda x: x + 1j, TypeError, "complex"),
        (lambda x: np.zeros(x.shape, "M8[s]"), TypeError, "dates"),
        (lambda x: x[:, :1], ValueError, r"must have shape \[n, 2\]; got \[64, 1\]"),
    ],
)
@pytest.mark.parametrize("place", [0, 2])
def test_batches_of_what_is_no_number_are_refused_by_name(place, spoiled, error, message, make_model, x):
    parts = np.split(x, 4)
    parts[place] = spoiled(parts[place])
    with pytest.raises(error if place == 0 else (tf.errors.InvalidArgumentError, error), match=message):
        make_model().fit(iter(parts), epochs=1, verbose=0)
    if error is TypeError and place == 0 and parts[0].dtype.kind == "c":
        with pytest.raises(TypeError, match=message):
            make_model().fit(dataset(parts[0]), epochs=1, verbose=0)


@pytest.mark.parametrize("kind", ["lists", "frames"])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_of_lists_and_frames_are_arrays(weighted, kind, make_model, x):
    """The first hold integers, which must not make integers of the others."""
    pd = pytest.importorskip("pandas")
    values = np.concatenate([np.round(x[:128]), x[128:]])
    parts, weights = np.split(values, 4), np.split(np.linspace(0.5, 1.5, len(x)), 4)
    plain = make_model()
    pairs = list(zip(parts, weights, strict=True))
    plain.fit(((part, part, weight) if weighted else (part,) for part, weight in pairs), verbose=0)
    makes = (lambda part: part.tolist()) if kind == "lists" else pd.DataFrame
    batches = [makes(part.astype(int)) if i < 2 else makes(part) for i, part in enumerate(parts)]
    model = make_model()
    lists = [weight.tolist() for weight in weights]
    pairs = list(zip(batches, lists, strict=True))
    model.fit(((batch, batch, weight) if weighted else batch for batch, weight in pairs), verbose=0)
    for value, wanted in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)
    if not weighted:
        np.testing.assert_allclose(model.predict(iter(batches), verbose=0), model.log_prob(values), rtol=1e-4)
