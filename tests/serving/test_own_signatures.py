"""A user's own functions as signatures: served as given, or refused with the reason."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.serving.conftest import affine
from tests.serving.rounding import within
from tests.serving.test_warmup import records_of
from tfp_nvp.serving import export, load, read_card
from tfp_nvp.serving._exporting.cases import cases
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import own_signatures, signatures
from tfp_nvp.serving._exporting.verify import check_folder

tfd = tfp.distributions


def function(*specs):
    return lambda f: tf.function(f, input_signature=specs)


def rows(*shape, dtype=tf.float32, name=None):
    return tf.TensorSpec([None, *shape], dtype, name=name)


@pytest.fixture(scope="module")
def model():
    return affine()


@pytest.fixture(scope="module")
def own(model):
    """Two functions: of a flow's inputs and of others."""

    @function(rows(3))
    def surprise(x):
        return {"bits": -model.log_prob(x) / np.log(2.0), "is_large": model.log_prob(x) < -10.0}

    @function(rows(2, dtype=tf.int32), rows(), rows(dtype=tf.string))
    def labelled(seed, scale, word):
        z = tf.stack([tf.cast(seed[:, 0], tf.float32), scale, scale], axis=-1)
        return {"x": model.decode(z)[0], "word": tf.strings.upper(word)}

    return {"surprise": surprise, "labelled": labelled}


@pytest.fixture(scope="module")
def folder(model, own, tmp_path_factory):
    return export(model, tmp_path_factory.mktemp("own") / "m", signatures=own, verify=False)


def test_they_answer_what_the_functions_answer(folder, model, own):
    loaded = load(folder)
    assert {"surprise", "labelled", "log_prob", "sample"} < set(loaded.signatures)
    x = loaded.sample(5)
    found = loaded.predict("surprise", {"x": x})
    # Eager mode and a graph differ by the order of sums: tens of roundings of float32.
    np.testing.assert_allclose(found["bits"], -model.log_prob(x) / np.log(2.0), **within())
    np.testing.assert_array_equal(found["is_large"], model.log_prob(x).numpy() < -10.0)
    seed, scale = np.array([[1, 0], [2, 0]], np.int32), np.array([0.5, -1.0], np.float32)
    inputs = {"seed": seed, "scale": scale, "word": np.array(["a", "é"])}
    found = loaded.predict("labelled", inputs)
    np.testing.assert_allclose(found["x"], own["labelled"](seed, scale, ["a", "é"])["x"], **within())
    assert found["word"].tolist()[0] == b"A"


def test_they_are_in_the_card_and_among_the_warmup_requests(folder):
    card = read_card(folder)
    assert card["signatures"]["surprise"] == {
        "inputs": {"x": {"dtype": "float32", "shape": [None, 3]}},
        "outputs": {"bits": {"dtype": "float32", "shape": [None]}, "is_large": {"dtype": "bool", "shape": [None]}},
    }
    assert card["size"]["operations"]["labelled"] > 0
    requests = {signature: inputs for _, signature, inputs in records_of(folder)}
    assert set(requests) == {"log_prob", "sample", "sample_tempered", "encode", "decode", "surprise", "labelled"}
    np.testing.assert_array_equal(requests["surprise"]["x"], requests["log_prob"]["x"])  # not zeros
    assert requests["labelled"]["scale"].tolist() == [0.0]
    assert requests["labelled"]["seed"].shape == (1, 2)


def test_a_method_of_a_module(model, tmp_path):
    class Scorer(tf.Module):
        @function(rows(3, name="rows"))
        def rank(self, x):
            return {"rank": 2.0 * model.log_prob(x)}

    loaded = load(export(model, tmp_path / "m", signatures={"rank": Scorer().rank}, verify=False))
    x = loaded.sample(3)
    np.testing.assert_allclose(loaded.predict("rank", {"x": x})["rank"], 2.0 * loaded.log_prob(x), **within())


def test_they_are_checked_in_a_new_process(model, own, tmp_path):
    folder = export(model, tmp_path / "m", signatures={"surprise": own["surprise"]})
    assert "surprise" in load(folder).signatures


def test_one_whose_rows_depend_on_each_other_fails_the_check(model, tmp_path):
    own = {"centred": function(rows(3))(lambda x: {"y": x - tf.reduce_mean(x, axis=0)})}
    folder = export(model, tmp_path / "m", signatures=own, verify=False)
    parts = served(model)
    made = signatures(parts)
    with pytest.raises(ValueError, match=r"centred/y\[0, 0\] is .*; Python has"):
        check_folder(str(folder), cases(parts, made | own_signatures(own, made)))


def test_one_that_reads_a_variable_of_its_own_takes_it_along(model, tmp_path):
    offset = tf.Variable([1.0, 2.0, 3.0])
    own = {"shifted": function(rows(3))(lambda x: {"y": x + offset})}
    folder = export(model, tmp_path / "m", signatures=own, verify=False)
    offset.assign([0.0, 0.0, 0.0])
    assert load(folder).predict("shifted", {"x": np.zeros([1, 3])})["y"].tolist() == [[1.0, 2.0, 3.0]]


def test_one_with_control_flow(model, tmp_path):
    @function(rows(3))
    def rectified(x):
        if tf.reduce_any(x < 0.0):
            x = tf.zeros_like(x)
        return {"y": x}

    served = load(export(model, tmp_path / "m", signatures={"rectified": rectified}, verify=False))
    assert served.predict("rectified", {"x": np.full([1, 3], -1.0)})["y"].tolist() == [[0.0, 0.0, 0.0]]
    assert served.predict("rectified", {"x": np.full([1, 3], 2.0)})["y"].tolist() == [[2.0, 2.0, 2.0]]


GOOD = function(rows(3))(lambda x: {"y": x})


@pytest.mark.parametrize(
    ("own", "error", "message"),
    [
        ({"f": tf.function(lambda x: {"y": x})}, TypeError, "must be a tf.function with an input_s"),
        ({"f": lambda x: {"y": x}}, TypeError, "must be a tf.function with an input_signature, such as"),
        ({"f": None}, TypeError, "must be a tf.function with an input_signature"),
        ({"f": function(tf.TensorSpec([]))(lambda x: {"y": x})}, ValueError, r"of size None.*x has shape \(\)"),
        ({"f": function(tf.TensorSpec([4, 3]))(lambda x: {"y": x})}, ValueError, r"x has shape \(4, 3\)"),
        ({"f": function(tf.TensorSpec(None))(lambda x: {"y": x})}, ValueError, "x has shape <unknown>"),
        ({"f": function(rows(3))(lambda x: {"y": tf.reduce_sum(x)})}, ValueError, r"y has shape \(\)"),
        ({"f": function(rows(3))(lambda x: {"y": tf.zeros([2, 3])})}, ValueError, r"y has shape \(2, 3\)"),
        ({"f": function()(lambda: {"y": tf.zeros([2])})}, ValueError, "the batch, of size None"),
        ({"f": function(rows(3))(lambda x: x)}, TypeError, "must return a dict of tensors by name"),
        ({"f": function(rows(3))(lambda x: (x, x))}, TypeError, "must return a dict of tensors by name"),
        ({"f": function(rows(3))(lambda x: {"y": {"z": x}})}, TypeError, "must return a dict of tensors by name"),
        ([GOOD], TypeError, "`signatures` must be a dict of tf.functions by name"),
        ({"f": function([rows(3)])(lambda x: {"y": x[0]})}, TypeError, "must take tensors; its x is"),
        ({"log_prob": GOOD}, ValueError, "has 'log_prob', which is taken or no name"),
        ({"serving_default": GOOD}, ValueError, "has 'serving_default', which is taken or no name"),
        ({"a b": GOOD}, ValueError, "has 'a b', which is taken or no name"),
        ({"": GOOD}, ValueError, "has '', which is taken or no name"),
        ({"__init__": GOOD}, ValueError, "has '__init__', which is taken or no name"),
    ],
)  # fmt: skip
def test_what_no_server_can_take_is_refused(own, error, message, model, tmp_path):
    with pytest.raises(error, match=message):
        export(model, tmp_path / "m", signatures=own, verify=False)
    assert list(tmp_path.iterdir()) == []


def python(x):
    return {"y": tf.ensure_shape(tf.py_function(lambda v: v, [x], tf.float32), [None, 3])}


def random(x):
    return {"y": x + tf.random.uniform([1])}


def compiled(x):
    return {"y": tf.function(lambda v: v * 2.0, jit_compile=True)(x)}


@pytest.mark.parametrize(
    ("call", "message"),
    [(python, "calls back into Python"), (random, "random state of its own"), (compiled, "jit_compile=True")],
)
def test_what_fails_on_a_server_is_refused(call, message, model, tmp_path):
    with pytest.raises(ValueError, match=f"'own' can't be served.*{message}"):
        export(model, tmp_path / "m", signatures={"own": function(rows(3))(call)}, verify=False)
    assert list(tmp_path.iterdir()) == []
