"""Matrices in half precision: stored so, used so, and everything else as it was."""

import collections
import tempfile
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.core.protobuf import saved_model_pb2

import tfp_nvp as nvp
from tests.serving.conftest import affine, encoded, shaken, spline
from tests.serving.rounding import IN_ANOTHER_BATCH, within
from tfp_nvp._module import tf_variables
from tfp_nvp.serving import export, load, read_card
from tfp_nvp.serving._exporting.cases import inputs_for, run
from tfp_nvp.serving._exporting.precompute import precompute
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import Signature, signatures, trace, weights_of
from tfp_nvp.serving._exporting.weights import halved, reading
from tfp_nvp.training import FlowModel

tfd = tfp.distributions


def maf():
    return shaken(nvp.MAF([3], num_layers=2, hidden_units=8, num_blocks=1, order="random", seed=0))


def with_dropout():
    """An encoder with a seed generator, whose state is integers."""
    encoder = keras.Sequential([keras.Input([5]), keras.layers.Dense(4), keras.layers.Dropout(0.5, seed=3)])
    return FlowModel(affine(condition_shape=[4]), encoder=encoder)


MODELS = {
    "spline": spline,
    "spline64": lambda: spline("float64"),
    "maf": maf,
    "encoder": encoded,
    "dropout": with_dropout,
}
HALF = ("float16", "bfloat16")


def is_matrix(weight):
    return weight.dtype.is_floating and weight.shape.rank >= 2 and weight.trainable


def rounded(name, model, dtype):
    """Another model like `model`, its matrices rounded."""
    other = MODELS[name]()
    for weight, exact in zip(weights_of(served(other)), weights_of(served(model)), strict=True):
        weight.assign(tf.cast(tf.cast(exact, dtype), weight.dtype) if is_matrix(weight) else exact)
    return other


def condition_rows(model, n):
    return np.random.default_rng(5).normal(size=[n, 5]).astype(np.float32) if isinstance(model, FlowModel) else None


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """A function from a model's name and a dtype to the model and its export, each made once."""
    made = {}

    def get(name, dtype):
        if (name, dtype) not in made:
            model = MODELS[name]()
            arguments = {"warmup_condition": condition_rows(model, 40)} if isinstance(model, FlowModel) else {}
            path = tmp_path_factory.mktemp("half") / name
            made[name, dtype] = model, export(model, path, weights_dtype=dtype, verify=False, **arguments)
        return made[name, dtype]

    return get


#: Each model in one of the two; the others are exhaustive.
each_of_both = pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=() if (i + j) % 2 == 0 else pytest.mark.exhaustive)
        for i, name in enumerate(MODELS)
        for j, dtype in enumerate(HALF)
    ],
)


@each_of_both
def test_the_checkpoint_holds_the_rounded_weights_and_nothing_else(name, dtype, halves):
    model, folder = halves(name, dtype)
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    weights = list({id(weight): weight for weight in weights_of(served(model))}.values())
    matrices = [weight for weight in weights if weight.dtype.is_floating and weight.shape.rank >= 2]
    keys = [key for key in reader.get_variable_to_shape_map() if key != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    found = [reader.get_tensor(key) for key in keys]
    expected = [(tf.cast(weight, dtype) if is_matrix(weight) else tf.identity(weight)).numpy() for weight in matrices]

    def contents(arrays):
        return collections.Counter((str(array.dtype), array.shape, array.tobytes()) for array in arrays)

    assert not contents(expected) - contents(found)
    # Vectors are constants of the graph; a MAF's biases, in blocks, are none.
    assert all(shape[-1] == 1 for _, shape, _ in contents(found) - contents(expected))
    assert read_card(folder)["model"]["numbers"] == sum(int(tf.size(weight)) for weight in weights)


@pytest.mark.parametrize("name", ["spline", "maf", "encoder"])
def test_no_weight_is_a_constant_of_the_graph(name, halves):
    model, folder = halves(name, "float16")
    (meta,) = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs
    nodes = [*meta.graph_def.node, *(node for f in meta.graph_def.library.function for node in f.node_def)]
    constants = [tf.make_ndarray(node.attr["value"].tensor).ravel() for node in nodes if node.op == "Const"]
    constants = [value for value in constants if value.dtype in (np.float16, np.float32) and value.size >= 8]
    for weight in filter(is_matrix, weights_of(served(model))):
        for constant in constants:
            assert constant.size != tf.size(weight) or not np.allclose(constant, np.ravel(weight), 1e-2), weight.name


@each_of_both
def test_every_signature_is_that_of_the_rounded_model(name, dtype, halves):
    model, folder = halves(name, dtype)
    exact, other = served(model), served(rounded(name, model, dtype))
    loaded, made = load(folder), signatures(other)
    inputs = inputs_for(other, made, condition=condition_rows(model, 8))
    # Both sides read the same rounded weights: what differs is the order of sums, of float32 or of float64.
    tolerance = within("float64") if name == "spline64" else IN_ANOTHER_BATCH
    assert loaded.signatures == sorted(made)
    moved = 0.0
    for key, signature in made.items():
        expected = run(signature, inputs)
        found = loaded.predict(key, {each: inputs[each] for each in signature.inputs})
        without = run(signatures(exact)[key], inputs)
        for output, value in expected.items():
            assert found[output].dtype == value.dtype  # float32 or float64 as before
            np.testing.assert_allclose(found[output], value, **tolerance)
            moved = max(moved, np.abs(without[output] - value).max())
    assert moved > 10 * tolerance["atol"]  # the comparison could have failed


def test_it_passes_the_check_in_a_new_process_and_the_model_stays(tmp_path):
    model = maf()
    before = [np.array(weight) for weight in model.variables]
    export(model, tmp_path / "m", weights_dtype="bfloat16")
    for weight, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("dtype", HALF)
def test_the_cards_errors_are_those_of_the_rows_given(dtype, tmp_path):
    x = 1.0 + 2.0 * np.random.default_rng(3).normal(size=[300, 2]).astype(np.float32)
    model = spline()
    folder = export(model, tmp_path / "m", weights_dtype=dtype, warmup=x, verify=False)
    exact, found = model.log_prob(x[:256]).numpy(), load(folder).log_prob(x[:256])
    cost, error = read_card(folder)["weights"], np.abs(exact - found)
    assert (cost["dtype"], cost["rows"]) == (dtype, 256)
    # The card rounds its figures to two digits.
    assert cost["mean_error"] == pytest.approx(error.mean(), rel=0.02)
    assert cost["max_error"] == pytest.approx(error.max(), rel=0.02)
    assert f"stored as {dtype}; log_prob of 256 rows is off by" in (folder / "assets.extra/README.md").read_text()
    matrices = [int(tf.size(weight)) for weight in tf_variables(model) if is_matrix(weight)]
    assert next(iter(read_card(folder)["size"]["largest"].values())) == 2 * max(matrices)


def test_bfloat16_costs_more_than_float16(halves):
    errors = [read_card(halves("spline", dtype)[1])["weights"]["mean_error"] for dtype in HALF]
    assert 4.0 < errors[1] / errors[0] < 16.0  # three bits


def test_a_weight_that_float16_can_not_hold(tmp_path):
    model = tfd.Independent(tfd.Normal(tf.Variable([[1e6, 0.0]], name="mean"), 1.0), 2)
    with pytest.raises(ValueError, match=r"'float16' can't hold mean:0: numbers above 65504"):
        export(model, tmp_path / "m", weights_dtype="float16", verify=False)
    assert list(tmp_path.iterdir()) == []
    folder = export(model, tmp_path / "m", weights_dtype="bfloat16", verify=False)
    # One rounding of float32 at a million.
    assert load(folder).log_prob([[[999424.0, 0.0]]]) == pytest.approx(-np.log(2 * np.pi), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int8", "half", "", 16])
def test_other_dtypes(dtype, tmp_path):
    with pytest.raises(ValueError, match="`weights_dtype` must be one of 'float16', 'bfloat16'; got"):
        export(tfd.Normal(tf.Variable(0.0), 1.0), tmp_path / "m", weights_dtype=dtype, verify=False)
    assert list(tmp_path.iterdir()) == []


def test_vectors_far_from_zero_lose_nothing(tmp_path):
    """Such as the mean that standardizes dates or temperatures."""
    model = tfd.MultivariateNormalDiag(tf.Variable([20_000.1, 300.07]), tf.Variable([0.01, 0.01]))
    folder = export(model, tmp_path / "m", weights_dtype="bfloat16", verify=False)
    assert read_card(folder)["weights"]["max_error"] == 0.0


def test_weights_are_read_exactly_while_a_model_is_exported():
    """By this thread and by others, from the graphs that are traced too: no class of TensorFlow's is changed."""
    fine = 1.0 + 2.0**-12
    model = tfd.Independent(tfd.Normal(tf.Variable([[fine]]), tf.Variable([[1.0]])), 2)
    weight, cls, seen = model.distribution.loc, type(model.distribution.loc), []

    def methods_of(base):  # Python enters `__annotations__` when they are first asked for
        return {name: value for name, value in vars(base).items() if name != "__annotations__"}

    methods = {base: methods_of(base) for base in cls.__mro__}

    def look():
        seen.append(tf.function(lambda: weight + 0.0)().numpy().item())
        assert {base: methods_of(base) for base in cls.__mro__} == methods

    @tf.function(input_signature=[tf.TensorSpec([None, 1, 1], name="x")])
    def own(x):
        with tf.init_scope():
            look()
            with ThreadPoolExecutor(1) as other:
                other.submit(look).result()
        return {"y": x - weight}

    with tempfile.TemporaryDirectory() as folder:
        export(model, folder + "/m", signatures={"own": own}, weights_dtype="float16", verify=False)
    look()
    assert len(seen) >= 3
    assert set(seen) == {fine}


def gradient_of_one(x):
    """A function with a gradient of its own."""
    return tf.custom_gradient(lambda v: (v, lambda upstream: upstream))(x)


def counted(x, weight):
    """Reads a weight within a loop."""
    (_, y) = tf.while_loop(lambda i, y: i < 2, lambda i, y: (i + 1, y - weight), [0, x])
    return y


def chosen(x, weight):
    """Reads a weight within both branches, and within a function that they call."""
    inner = tf.function(lambda: weight + 0.0)
    return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x - inner(), lambda: x - weight - inner())


def switched(x, weight):
    """Has other inputs of a branch before the weight's."""
    index = tf.cast(tf.reduce_sum(x) > 0.0, tf.int32)
    return tf.switch_case(index, [lambda: 2.0 * x - weight * 2.0, lambda: x - weight])


WAYS = {
    "plainly": lambda x, weight: x - weight,
    "alone": lambda x, weight: x * 0.0 + weight[None],
    "through a gradient of one's own": lambda x, weight: x - gradient_of_one(tf.convert_to_tensor(weight)),
    "in a loop": counted,
    "in a branch": chosen,
    "in a case": switched,
    "in functions": lambda x, weight: tf.function(lambda v: tf.function(lambda u: u - weight)(v) - weight)(x),
    "in a loop in a branch": lambda x, weight: tf.cond(
        tf.reduce_sum(x) > 0.0, lambda: counted(x, weight), lambda: counted(-x, weight)
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_reads_the_halves_in_whatever_way_it_read_the_weights(way):
    rng = np.random.default_rng(0)
    weight = tf.Variable(rng.normal(size=[3, 2]), dtype=tf.float32)
    signature = Signature(lambda x: {"y": WAYS[way](x, weight)}, {"x": tf.TensorSpec([None, 3, 2], name="x")}, {})
    exact = trace({"f": signature})["f"]
    for dtype in HALF:
        halves = halved([weight], dtype)
        half = reading({"f": exact}, halves)["f"]
        rounded = tf.Variable(tf.cast(tf.cast(weight, dtype), tf.float32))
        for x in (tf.ones([4, 3, 2]), -tf.ones([4, 3, 2])):
            expected = WAYS[way](x, rounded)
            # One product, whose sum may be taken in another order.
            np.testing.assert_allclose(half(x=x)["y"], expected, **IN_ANOTHER_BATCH)
            np.testing.assert_allclose(exact(x=x)["y"], WAYS[way](x, weight), **IN_ANOTHER_BATCH)
        assert {id(variable) for variable in half.variables} == {id(variable) for variable in halves.values()}
        assert half.structured_input_signature == exact.structured_input_signature
        assert precompute({"f": half}, but=halves.values())[0]["f"](x=x)["y"].shape == [4, 3, 2]


@pytest.mark.parametrize("use", [
    lambda x, weight: tf.gather(weight, tf.cast(x[:, 0, 0], tf.int32)),
    lambda x, weight: x - weight.assign(weight + 1.0),
])  # fmt: skip
def test_a_weight_that_is_not_only_read_stays_what_it_is(use):
    weight = tf.Variable([[1.0 + 2.0**-12, 2.0]])
    exact = trace({"f": Signature(lambda x: {"y": use(x, weight)}, {"x": tf.TensorSpec([None, 1, 2], name="x")}, {})})[
        "f"
    ]
    assert reading({"f": exact}, halved([weight], "float16"))["f"] is exact


def test_own_signatures_read_the_stored_weights(tmp_path):
    """Also when their function has been traced, and called, before."""
    fine = 1.0 + 2.0**-12
    model = tfd.Independent(tfd.Normal(tf.Variable([[fine]]), tf.Variable([[1.0]])), 2)

    @tf.function(input_signature=[tf.TensorSpec([None, 1, 1], name="x")])
    def centred(x):
        return {"y": x - model.distribution.loc}

    assert centred(tf.zeros([1, 1, 1]))["y"] == -fine
    folder = export(model, tmp_path / "m", signatures={"centred": centred}, weights_dtype="float16", verify=False)
    assert load(folder).predict("centred", {"x": np.zeros([1, 1, 1])})["y"] == -1.0
    assert len(tf.train.list_variables(str(folder / "variables" / "variables"))) == 3  # two weights and their graph
    assert centred(tf.zeros([1, 1, 1]))["y"] == -fine
