"""What depends on weights alone is computed when a model is exported, and never again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.serving.conftest import encoded, shaken, spline
from tfp_nvp import bijectors, conditioners, transformers
from tfp_nvp.serving._exporting.cases import inputs_for, run
from tfp_nvp.serving._exporting.graphs import not_only_read, source
from tfp_nvp.serving._exporting.precompute import MOST_IN_GRAPH, _of_weights, precompute
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import signatures, trace


def maf(**arguments):
    return shaken(nvp.MAF([6], num_layers=2, hidden_units=40, num_blocks=1, order="random", seed=0, **arguments))


def in_half_precision():
    """Its sampling evaluates the whole network within a loop, whose body reads the weights."""
    network = conditioners.MADE(2 * 3, hidden_units=[8], seed=0, dtype="mixed_bfloat16")
    layer = bijectors.Autoregressive(transformers.Affine(), network, [3])
    return shaken(nvp.Flow(nvp.distributions.StandardNormal([3]), layer))


def recurrent():
    encoder = keras.Sequential([keras.Input([4, 2]), keras.layers.GRU(3)])
    return nvp.FlowModel(shaken(nvp.RealNVP([2], num_layers=2, hidden_units=[8], condition_shape=[3])), encoder=encoder)


MODELS = {
    "maf": maf,
    "spline": spline,
    "encoder": encoded,
    "in_half_precision": in_half_precision,
    "recurrent": recurrent,
    "glow": lambda: shaken(nvp.Glow([8, 8, 1], num_levels=2, num_steps=1, hidden_units=4, seed=0)),
}


@pytest.fixture(scope="module", params=MODELS)
def before_and_after(request):
    model = served(MODELS[request.param]())
    before = trace(signatures(model))
    return model, before, *precompute(before)


def test_the_results_are_the_same(before_and_after):
    model, before, after, _ = before_and_after
    made = signatures(model)
    inputs = inputs_for(model, made)
    assert after.keys() == before.keys()
    for name, signature in made.items():
        assert after[name].structured_input_signature == before[name].structured_input_signature
        expected, found = (run(signature._replace(call=each[name]), inputs) for each in (before, after))
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, 2e-5, 2e-5)


def test_nothing_of_weights_alone_is_left(before_and_after):
    model, before, after, _ = before_and_after

    def computed(functions):
        graphs = [function.graph for function in functions.values()]
        changing = not_only_read(graphs)
        for graph in graphs:
            handles = [inner.name for outer, inner in graph.captures if id(outer) not in changing]
            for name in _of_weights(graph, handles):
                if graph.get_operation_by_name(name).type != "ReadVariableOp":
                    yield name

    if model.distribution.name != "flow":  # whose variables are all read within a loop
        assert any(computed(before))
    assert not any(computed(after))


def test_values_are_stored_once_and_weights_that_they_replace_are_not_read():
    flow = maf()
    before = trace(signatures(served(flow)))
    after, made = precompute(before)
    values = [value.numpy() for value in made]
    assert len({(value.shape, value.tobytes()) for value in values}) == len(values)
    kernels = {id(layer.kernel.value) for b in flow.bijector.bijectors for layer in _masked_layers(b)}
    assert kernels
    for function in after.values():
        assert not kernels & {id(variable) for variable in function.graph.variables}
    read = {name: {id(variable) for variable in function.graph.variables} for name, function in after.items()}
    assert read["log_prob"] == read["encode"]
    assert read["sample"] == read["sample_tempered"] == read["decode"]
    for function in after.values():
        for op in function.graph.get_operations():
            if op.type == "Const":
                assert tf.make_ndarray(op.get_attr("value")).size <= MOST_IN_GRAPH


def _masked_layers(bijector):
    return getattr(getattr(bijector, "conditioner", None), "masked_layers", [])


class Counting(tf.Module):
    """Functions of a weight, a variable that one of them changes, and an input."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.ones([2, 2]))
        self.count = tf.Variable(tf.zeros([]))

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def count_up(self, x):
        return {"y": x @ (2.0 * self.weight) + self.count.assign_add(1.0)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def counted(self, x):
        return {"y": x @ (2.0 * self.weight) + 3.0 * self.count}


def test_a_variable_that_changes_stays():
    module = Counting()
    functions = {"count_up": module.count_up, "counted": module.counted}
    after, (doubled,) = precompute({name: each.get_concrete_function() for name, each in functions.items()})
    np.testing.assert_array_equal(doubled, 2.0 * np.ones([2, 2]))
    x = tf.ones([1, 2])
    for count in (1.0, 2.0):
        np.testing.assert_array_equal(after["count_up"](x=x)["y"], [[4.0 + count] * 2])
        np.testing.assert_array_equal(after["counted"](x=x)["y"], [[4.0 + 3.0 * count] * 2])


def test_variables_that_shall_stay():
    module = Counting()
    _, made = precompute({"counted": module.counted.get_concrete_function()}, but=[module.weight])
    assert not made


def test_a_tensor_of_several_wrapped_in_one_is_seen_through():
    @tf.function(input_signature=[tf.TensorSpec([], name="x")])
    def function(x):
        return {"y": tf.identity_n([x, x + 1.0])[1]}

    (output,) = function.get_concrete_function().graph.outputs
    while output.op.type == "Identity":
        output = output.op.inputs[0]
    assert output.op.type == "IdentityN"
    assert source(output).op.type == "AddV2"


class Reading(tf.Module):
    """Functions in which others read a weight, loops too, and one changes it."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.ones([2, 2]))
        self.other = tf.Variable(tf.ones([2, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def plain(self, x):
        return {"y": x @ (2.0 * self.weight) @ (2.0 * self.other)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def nested(self, x):
        return {"y": self.plain(x)["y"] + 1.0}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def looped(self, x):
        for _ in tf.range(2):
            x = x @ self.weight
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def assigning(self, x):
        for _ in tf.range(2):
            self.other.assign_add(tf.ones([2, 2]))
        return {"y": x}


def test_functions_that_only_read_within_others_leave_a_weight_as_fixed_as_it_is():
    module = Reading()
    functions = {name: getattr(module, name).get_concrete_function() for name in ("plain", "nested", "looped")}
    after, made = precompute(functions)
    assert len(made) == 1  # twice either weight: they are equal
    x = tf.constant([[1.0, 2.0]])
    for name, function in functions.items():
        np.testing.assert_array_equal(after[name](x=x)["y"], function(x=x)["y"])
    changing = precompute(functions | {"assigning": module.assigning.get_concrete_function()})[0]
    changing["assigning"](x=x)
    np.testing.assert_array_equal(changing["plain"](x=x)["y"], functions["plain"](x=x)["y"])
    assert float(changing["plain"](x=x)["y"][0, 0]) == 3.0 * float(after["plain"](x=x)["y"][0, 0])


def checked(weight, x):
    with tf.control_dependencies([tf.debugging.assert_positive(x), tf.debugging.assert_positive(weight)]):
        return x @ (2.0 * weight)


def test_a_signature_of_ones_own_leaves_the_others_as_they_are():
    flow = maf()

    @tf.function(input_signature=[tf.TensorSpec([None, 6], name="x")])
    def nll(x):
        return {"nll": -flow.log_prob(x)}

    functions = trace(signatures(served(flow)))
    alone, beside = precompute(functions)[0], precompute(functions | {"nll": nll.get_concrete_function()})[0]
    for name, function in alone.items():
        assert len(beside[name].graph.get_operations()) == len(function.graph.get_operations())


UNUSUAL = {
    "what waits for a check of the input": checked,
    "rows of a weight in a loop": lambda weight, x: tf.map_fn(lambda row: tf.reduce_sum(x * row), 2.0 * weight)[None],
    "a weight in a string": lambda weight, x: (
        x + tf.cast(tf.strings.length(tf.strings.format("{}", 2.0 * weight)), x.dtype)
    ),
    "a large table of strings": lambda weight, x: (
        x @ tf.strings.to_number(tf.strings.as_string(tf.tile(2.0 * weight, [1, 600])))[:, :2]
    ),
}


@pytest.mark.parametrize("function", UNUSUAL.values(), ids=UNUSUAL)
@pytest.mark.filterwarnings("error")
def test_what_is_not_numbers_stays(function):
    weight = tf.Variable([[1.0, 2.0], [3.0, 4.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def call(x):
        return {"y": function(weight, x)}

    after, _ = precompute({"call": call.get_concrete_function()})
    x = tf.constant([[1.0, 2.0]])
    np.testing.assert_array_equal(after["call"](x=x)["y"], call(x)["y"])
    if function is checked:
        with pytest.raises(tf.errors.InvalidArgumentError):
            after["call"](x=-x)


def test_a_check_of_weights_is_made_at_every_request():
    weight = tf.Variable([[1.0, 2.0], [3.0, 4.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], name="x")])
    def call(x):
        return {"y": checked(weight, x)}

    function = call.get_concrete_function()
    weight.assign(-weight)
    after, _ = precompute({"call": function})
    with pytest.raises(tf.errors.InvalidArgumentError):
        after["call"](x=tf.ones([1, 2]))


def test_what_would_take_much_more_room_is_not_stored():
    weight = tf.Variable(tf.ones([1000, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None, 1000], name="x")])
    def call(x):
        return {"y": x @ tf.matmul(weight, weight, transpose_b=True)}

    function = call.get_concrete_function()
    after, made = precompute({"call": function})
    assert not made
    assert after["call"] is function


def test_a_graph_that_can_not_be_divided_is_left_as_it_is(monkeypatch):
    def fails(*args):
        raise RuntimeError("no such operation")

    monkeypatch.setattr("tfp_nvp.serving._exporting.precompute.imported", fails)
    module = Counting()
    function = module.counted.get_concrete_function()
    with pytest.warns(UserWarning, match="at every request what depends on weights alone: no such operation"):
        after, made = precompute({"counted": function})
    assert after == {"counted": function}
    assert not made
