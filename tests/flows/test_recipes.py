"""What all recipes of vectors have in common."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import conditioners, flows
from tfp_nvp._names import IMAGE_FLOWS, NAMES
from tfp_nvp.bijectors import Autoregressive, Coupling
from tfp_nvp.flows import IAF, MAF, NICE, NeuralSplineFlow, RealNVP

tfd = tfp.distributions

SMALL = {
    NICE: {"hidden_units": [8]},
    RealNVP: {"hidden_units": [8]},
    NeuralSplineFlow: {"hidden_units": 8},
    MAF: {"hidden_units": [8]},
    IAF: {"hidden_units": [8]},
}

each_recipe = pytest.mark.parametrize("recipe", SMALL, ids=lambda recipe: recipe.__name__)


def layers_of(flow) -> list:
    """The layers that have a network."""
    return [module for module in flow.submodules if isinstance(module, (Coupling, Autoregressive))]


def small(recipe: type, d: int = 3, **arguments):
    return recipe([d], **{"num_layers": 3, "seed": 0, **SMALL[recipe], **arguments})


@each_recipe
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_new_flow_is_its_base(recipe: type, d: int, rng):
    """Couplings start as the identity, and what permutes leaves a standard normal as it is."""
    x = rng.normal(size=(10, d)).astype(np.float32)
    flow = small(recipe, d)
    np.testing.assert_allclose(flow.log_prob(x), flow.distribution.log_prob(x), rtol=1e-4, atol=1e-4)


@each_recipe
@pytest.mark.parametrize("condition_shape", [None, [2]])
def test_one_element_alone_can_be_transformed(recipe: type, condition_shape, rng):
    flow = small(recipe, 1, condition_shape=condition_shape, dtype="float64")
    keywords = {} if condition_shape is None else {"condition": rng.normal(size=(7, 2))}
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    x, log_prob = flow.sample_and_log_prob(() if condition_shape else 7, seed=1, **keywords)
    assert x.shape == [7, 1]
    np.testing.assert_allclose(log_prob, flow.log_prob(x, **keywords), rtol=1e-6)
    assert not np.allclose(log_prob, flow.distribution.log_prob(x))


@each_recipe
def test_a_seed_gives_the_same_flow(recipe: type):
    one, same, other = small(recipe, seed=1), small(recipe, seed=1), small(recipe, seed=2)
    for a, b in zip(one.variables, same.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(one.variables, other.variables, strict=True))


#: Public recipes and conditioners with hidden layers.
OF_HIDDEN_UNITS = [
    getattr(package, name)
    for package in (flows, conditioners)
    for name in NAMES[package.__name__]
    if "hidden_units" in inspect.signature(getattr(package, name)).parameters
]


@pytest.mark.parametrize("cls", OF_HIDDEN_UNITS, ids=lambda cls: cls.__name__)
def test_hidden_units_are_an_int_or_a_list(cls: type):
    """A list of one width is the same as the int; files and copies keep what was given."""
    arguments = {"num_layers": 1, "num_levels": 2, "num_steps": 1, "num_blocks": 1, "num_couplings": [1, 1, 1]}
    arguments |= {
        "condition_shape": [2],
        "seed": 0,
        "factor": 2,
        "num_groups": 2,
        "num_outputs": 2,
        "num_tokens": 1,
    }
    taken = inspect.signature(cls).parameters
    required = [] if "event_shape" not in taken else [[4, 4, 1] if cls.__name__ in IMAGE_FLOWS else [3]]
    arguments = {name: value for name, value in arguments.items() if name in taken}
    of_int, of_list = (cls(*required, hidden_units=units, **arguments) for units in (4, [4]))
    shapes = [[variable.shape for variable in made.weights] for made in (of_int, of_list)]
    assert shapes[0] == shapes[1]
    again = cls.from_config(of_list.get_config())
    assert [variable.shape for variable in again.weights] == shapes[0]


@pytest.mark.parametrize("recipe", [NICE, RealNVP, NeuralSplineFlow], ids=lambda recipe: recipe.__name__)
def test_couplings_keep_halves_or_every_other_element(recipe: type):
    kept = {"channel": [True, True, False, False], "checkerboard": [True, False, True, False]}
    for mask_type, mask in kept.items():
        first, second, third = (layer._mask for layer in layers_of(small(recipe, 4, mask_type=mask_type)))
        assert first.tolist() == third.tolist() == (~second).tolist() == mask
    default = [layer._mask.tolist() for layer in layers_of(small(recipe, 4))]
    assert default[0] == kept["checkerboard" if recipe is NICE else "channel"]
    with pytest.raises(ValueError, match="`mask_type` must be one of 'channel', 'checkerboard'; got 'rows'"):
        small(recipe, 4, mask_type="rows")


@each_recipe
def test_without_a_seed_flows_differ(recipe: type):
    one, other = small(recipe, seed=None), small(recipe, seed=None)
    assert any(not np.array_equal(a, b) for a, b in zip(one.variables, other.variables, strict=True))


@each_recipe
def test_the_parameters_of_a_flow_without_a_seed_make_it_again(recipe: type):
    class OfAnyArguments(recipe):
        def __init__(self, event_shape, **arguments):
            super().__init__(event_shape, **arguments)

    for kind in (recipe, OfAnyArguments):
        flow = kind([4], num_layers=3, **SMALL[recipe])
        again = kind(**flow.parameters)
        for a, b in zip(flow.variables, again.variables, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_class_may_fix_the_seed_of_its_recipe():
    class Fixed(RealNVP):
        def __init__(self, width):
            super().__init__([4], num_layers=3, hidden_units=[width], seed=5)

    assert "seed" not in Fixed(8).parameters
    assert Fixed(8).name == "fixed"


@each_recipe
def test_a_flow_is_named_as_its_class(recipe: type):
    names = {NeuralSplineFlow: "neural_spline_flow", RealNVP: "real_nvp"}
    assert small(recipe).name == names.get(recipe, recipe.__name__.lower())
    assert small(recipe, name="another").name == "another"


@each_recipe
def test_every_element_is_transformed(recipe: type, rng):
    """In two layers each element of z depends on every element of x."""
    flow = small(recipe, 4)
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    x = tf.constant(rng.normal(size=(1, 4)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        z, _ = flow.encode(x)
    assert (tape.jacobian(z, x, experimental_use_pfor=False).numpy() != 0.0).all()


@each_recipe
def test_the_number_of_layers_is_that_of_networks(recipe: type):
    assert len(layers_of(small(recipe, num_layers=5))) == 5


@each_recipe
def test_a_base_can_be_given(recipe: type):
    base = tfd.Sample(tfd.StudentT(3.0, 0.0, 1.0), 3)
    assert small(recipe, base=base).distribution is base


@each_recipe
def test_a_base_that_does_not_fit_is_refused(recipe: type):
    with pytest.raises(ValueError, match=r"`base` must have the event shape \[3\]; its event shape is \[\]"):
        small(recipe, base=tfd.Normal(tf.zeros([3]), 1.0))
    with pytest.raises(ValueError, match="`base` must be of dtype float32; it is float64"):
        small(recipe, base=tfd.MultivariateNormalDiag(np.zeros(3)))
    with pytest.raises(TypeError, match=r"`base` must be a tfd\.Distribution"):
        small(recipe, base="normal")


@each_recipe
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_shape": []}, r"`event_shape` must be \[d\], the shape of a vector; got \[\]"),
        ({"event_shape": [2, 2]}, r"`event_shape` must be \[d\]"),
        ({"event_shape": [2], "num_layers": 0}, "`num_layers` must be at least 1"),
    ],
)
def test_shapes_and_sizes_out_of_range_are_refused(recipe: type, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        recipe(**arguments)


@each_recipe
def test_arguments_after_the_event_shape_are_by_keyword(recipe: type):
    with pytest.raises(TypeError, match=r"takes 1 argument\(s\) without a name \(event_shape\); got 2"):
        recipe([2], 3)


@each_recipe
def test_mixed_precision_is_of_conditioners_only(recipe: type, rng):
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        flow = small(recipe)
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    assert {layer.conditioner.compute_dtype for layer in layers_of(flow)} == {"bfloat16"}
    again = recipe(**flow.parameters)  # as a process without that policy makes it from a file
    assert {layer.conditioner.compute_dtype for layer in layers_of(again)} == {"bfloat16"}
    assert {variable.dtype for variable in flow.trainable_variables} == {tf.float32}
    assert flow.log_prob(np.zeros([2, 3])).dtype == tf.float32


@each_recipe
def test_networks_may_have_a_dtype_of_their_own(recipe: type, rng):
    exact, mixed = (small(recipe, network_dtype=dtype) for dtype in (None, "mixed_bfloat16"))
    x = rng.normal(size=[20, 3]).astype("float32")
    for flow in (exact, mixed):
        weights = np.random.default_rng(1)
        flow.initialize(x)
        for variable in flow.trainable_variables:
            variable.assign_add(tf.constant(0.1 * weights.normal(size=variable.shape), tf.float32))
    assert {layer.conditioner.compute_dtype for layer in layers_of(mixed)} == {"bfloat16"}
    assert {layer.conditioner.compute_dtype for layer in layers_of(exact)} == {"float32"}
    error = np.abs(mixed.log_prob(x) - exact.log_prob(x))
    assert 0.0 < error.max() < 0.1  # bfloat16 has 8 bits
    np.testing.assert_allclose(mixed.decode(mixed.encode(x)[0])[0], x, atol=0.05)


@each_recipe
def test_tfp_logs_no_warning_about_its_parameters(recipe: type, caplog):
    assert recipe.parameter_properties() == {}
    assert not caplog.records
