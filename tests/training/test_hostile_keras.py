""".keras files that are broken, or made to run code, are refused; nothing in them is run."""

import importlib
import inspect
import json
import resource
import time
import zipfile

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp import _limits, _nameable
from tfp_nvp import _serialization as serialization
from tfp_nvp.cli import models

tfb, tfd = tfp.bijectors, tfp.distributions


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a good file."""
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=2, hidden_units=[4], seed=0))
    model.compile("adam")
    file = tmp_path_factory.mktemp("saved") / "flow.keras"
    model.save(file)
    return file


@pytest.fixture
def edited(saved, tmp_path):
    """A function that copies the good file, and changes its config or leaves a part of it out."""

    def edit(change=lambda config: None, without=""):
        target = tmp_path / "flow.keras"
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(target, "w") as copy:
            for name in source.namelist():
                data = source.read(name)
                if name == "config.json":
                    config = json.loads(data)
                    change(config)
                    data = json.dumps(config).encode()
                if name != without:
                    copy.writestr(name, data)
        return target

    return edit


@pytest.fixture(params=["keras", "cli"])
def load(request):
    """What loads a file: Keras, and `tfp-nvp`."""
    return keras.saving.load_model if request.param == "keras" else models.load_model


def test_the_good_file_loads(edited, load):
    loaded = load(edited())
    assert np.isfinite(loaded.log_prob(np.zeros([2, 2], np.float32))).all()


class TestBroken:
    @pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
    def test_cut_short(self, share, saved, tmp_path):
        data = saved.read_bytes()
        (tmp_path / "flow.keras").write_bytes(data[: int(share * len(data))])
        with pytest.raises(ValueError, match=r"flow\.keras: not a model that can be loaded: "):
            models.load_model(tmp_path)

    def test_bytes_changed_at_random(self, saved, tmp_path):
        """What no check sum covers may load; everything else is a `ValueError` that names the file."""
        rng, refused = np.random.default_rng(0), 0
        for _ in range(30):
            data = bytearray(saved.read_bytes())
            at = rng.integers(len(data))
            data[at : at + 8] = rng.bytes(8)
            (tmp_path / "flow.keras").write_bytes(data)
            try:
                models.load_model(tmp_path)
            except ValueError as error:
                refused += "flow.keras: not a model that can be loaded" in str(error)
        assert refused >= 25

    @pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
    def test_without_a_part(self, part, edited):
        with pytest.raises(ValueError, match=r"flow\.keras: not a model that can be loaded"):
            models.load_model(edited(without=part))

    @pytest.mark.parametrize(
        "text",
        [b"", b"not a zip", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"{}"],
        ids=["empty", "text", "zip", "h5", "json"],
    )
    def test_another_kind_of_file(self, text, tmp_path):
        (tmp_path / "flow.keras").write_bytes(text)
        with pytest.raises(ValueError, match=r"flow\.keras: not a model that can be loaded"):
            models.load_model(tmp_path / "flow.keras")

    @pytest.mark.parametrize(
        "distribution",
        [None, 3, [], {}, {"kind": None}, {"kind": "nope"}, {"kind": "_init__"}, {"kind": "object"}, {"kind": "list"},
         {"kind": "reference", "number": 7}, {"kind": "object", "class": "tfd.Normal", "arguments": {"nope": 1}},
         {"kind": "object", "class": "flows.RealNVP", "arguments": {"event_shape": -1}},
         {"kind": "tensor", "values": [1.0], "shape": [2, 2], "dtype": "float32"},
         {"kind": "tensor", "values": [1.0], "shape": [1], "dtype": "os.system"}],
        ids=str,
    )  # fmt: skip
    def test_a_config_of_no_distribution(self, distribution, edited):
        with pytest.raises(ValueError, match=r"flow\.keras: not a model that can be loaded"):
            models.load_model(edited(lambda config: config["config"].update(distribution=distribution)))

    def test_weights_of_another_model(self, edited):
        def wider(config):
            config["config"]["distribution"]["arguments"]["hidden_units"] = {"kind": "list", "items": [5]}

        with pytest.raises(ValueError, match=r"flow\.keras: not a model that can be loaded"):
            models.load_model(edited(wider))


@keras.saving.register_keras_serializable("tests")
class Harmless:
    """Registered, and no part of a flow."""

    def get_config(self):
        return {}


def function(module, name):
    return {"class_name": "function", "module": module, "config": name, "registered_name": name}


def instance(module, class_name, **config):
    return {"class_name": class_name, "module": module, "config": config, "registered_name": None}


def inline(forward):
    """A bijector that calls `forward`, of a flow's distribution."""
    arguments = {"forward_fn": forward, "inverse_fn": forward, "forward_min_event_ndims": 0}
    return {"kind": "object", "class": "tfb.Inline", "arguments": arguments}


def lambda_layer():
    network = keras.Sequential([keras.Input([2]), keras.layers.Lambda(lambda x: __import__("os").system("false"))])
    return keras.saving.serialize_keras_object(network)


ATTACKS = {
    "encoder os.system": lambda mark: {"encoder": instance("os", "system", command=f"touch {mark}")},
    "encoder Popen": lambda mark: {"encoder": instance("subprocess", "Popen", args=["touch", mark])},
    "encoder exec": lambda mark: {"encoder": instance("builtins", "exec", source=f"open({mark!r}, 'w')")},
    "encoder open": lambda mark: {"encoder": instance("builtins", "open", file=mark, mode="w")},
    "encoder Path": lambda mark: {"encoder": instance("pathlib", "Path", _=mark)},
    "encoder get_file": lambda mark: {
        "encoder": instance("keras.utils", "get_file", fname=mark, origin="file:///dev/null")
    },
    "encoder lambda": lambda mark: {"encoder": lambda_layer()},
    "keras function": lambda mark: {"distribution": {"kind": "keras", "config": function("os", "system")}},
    "keras lambda": lambda mark: {"distribution": {"kind": "keras", "config": lambda_layer()}},
    "inline os.system": lambda mark: {"distribution": inline({"kind": "keras", "config": function("os", "system")})},
    "inline exec": lambda mark: {"distribution": inline({"kind": "keras", "config": function("builtins", "exec")})},
    "inline registered": lambda mark: {"distribution": inline({"kind": "registered", "name": "os.system"})},
    "class of a module": lambda mark: {"distribution": {"kind": "object", "class": "os.system", "arguments": {}}},
    "class through a module": lambda mark: {
        "distribution": {"kind": "object", "class": "flows.neural_spline.os.system", "arguments": {}}
    },
    "dunder": lambda mark: {"distribution": {"kind": "object", "class": "tfd.__loader__", "arguments": {}}},
    "another registered class": lambda mark: {
        "distribution": {"kind": "object", "class": "registered.tests>Harmless", "arguments": {}}
    },
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_config_that_names_code_runs_none(attack, edited, load, tmp_path):
    mark = tmp_path / "ran"
    file = edited(lambda config: config["config"].update(ATTACKS[attack](str(mark))))
    with pytest.raises((ValueError, TypeError)):
        load(file)
    assert not mark.exists()


@pytest.mark.parametrize("where", ["model", "optimizer", "loss", "metrics"])
def test_the_rest_of_the_config_runs_none_either(where, edited, load, tmp_path):
    mark = tmp_path / "ran"

    def change(config):
        bad = instance("os", "system", command=f"touch {mark}")
        if where == "model":
            config.update(bad)
        else:
            config["compile_config"][where] = bad

    with pytest.raises((ValueError, TypeError)):
        load(edited(change))
    assert not mark.exists()


def test_the_lambda_is_what_is_refused(edited):
    """Keras' own protection, `safe_mode`, also where we read the config."""
    with pytest.raises(ValueError, match="Lambda"):
        keras.saving.load_model(edited(lambda config: config["config"].update(encoder=lambda_layer())))
    with pytest.raises(ValueError, match="Lambda"):
        serialization.deserialize({"kind": "keras", "config": lambda_layer()})


def test_no_function_outside_of_keras_can_be_had():
    for module, name in (("os", "system"), ("builtins", "eval"), ("importlib", "import_module"), ("numpy", "load")):
        assert callable(getattr(importlib.import_module(module), name))
        with pytest.raises((TypeError, ValueError)):
            serialization.deserialize({"kind": "keras", "config": function(module, name)})


def listed(items):
    return {"kind": "list", "items": items}


def made(name, **arguments):
    return {"kind": "object", "class": name, "arguments": arguments}


def stock(name, **arguments):
    return lambda mark: {"distribution": made(name, **arguments)}


def keras_part(config):
    return lambda mark: {"distribution": made("flows.RealNVP", event_shape=listed([2]), activation=config)}


LOAD_DATA = {"kind": "keras", "config": function("keras.datasets.mnist", "load_data")}
DENSE = {"module": "keras.layers", "class_name": "Dense", "registered_name": None}


def dense(**config):
    layer = DENSE | {"config": {"units": 3} | config}
    return lambda mark: {"encoder": layer}


#: Configs that name what a file may not, and the name that the error has to tell.
REFUSED = {
    "coroutine": (stock("tfd.JointDistributionCoroutine", model=LOAD_DATA), "load_data"),
    "coroutine of nothing": (stock("tfd.JointDistributionCoroutine", model=None), "tfd.JointDistributionCoroutine"),
    "autoregressive": (stock("tfd.Autoregressive", distribution_fn=LOAD_DATA), "load_data"),
    "markov chain": (stock("tfd.MarkovChain", transition_fn=None), "tfd.MarkovChain"),
    "masked autoregressive": (stock("tfb.MaskedAutoregressiveFlow"), "tfb.MaskedAutoregressiveFlow"),
    "inline": (stock("tfb.Inline"), "tfb.Inline"),
    "base class": (stock("tfd.Distribution"), "tfd.Distribution"),
    "no distribution": (stock("tfd.Register"), "tfd.Register"),
    "joint": (stock("tfd.JointDistributionSequential", model=listed([])), "tfd.JointDistributionSequential"),
    "a function in a listed class": (
        stock("tfd.Normal", loc={"kind": "registered", "name": "tests>fill"}, scale=1.0),
        "fill",
    ),
    "a function in a list": (
        stock("tfb.Chain", bijectors=listed([{"kind": "registered", "name": "tests>fill"}])),
        "fill",
    ),
    "activation": (keras_part(LOAD_DATA), "load_data"),
    "activation of Keras' layer": (dense(activation=function("keras.datasets.mnist", "load_data")), "load_data"),
    "activation by get_file": (dense(activation=function("keras.utils", "get_file")), "get_file"),
    "initializer": (dense(kernel_initializer=function("keras.datasets.cifar10", "load_data")), "load_data"),
    "class of callbacks": (dense(kernel_initializer=instance("keras.callbacks", "CSVLogger")), "CSVLogger"),
    "class of the tree": (dense(bias_initializer=instance("keras.tree", "MAP_TO_NONE")), "MAP_TO_NONE"),
    "a type of TensorFlow": (
        lambda mark: {"encoder": {"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "keras",
                                  "registered_name": None, "config": []}},
        "__typespec__",
    ),
    "another package": (lambda mark: {"encoder": instance("keras_hub.models", "Backbone")}, "keras_hub"),
}  # fmt: skip


@keras.saving.register_keras_serializable("tests")
def same(value):
    return value


@keras.saving.register_keras_serializable("tests")
def fill(*arguments):
    raise AssertionError("a function that a file names was called")


@pytest.fixture
def no_downloads(monkeypatch):
    """Fails where Keras is made to get anything."""
    for module in ("mnist", "cifar10"):
        loader = importlib.import_module(f"keras.src.datasets.{module}")
        monkeypatch.setattr(loader, "get_file", lambda *arguments, **named: pytest.fail("a file was fetched"))


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_may_not_name_is_refused_by_name(name, edited, load, no_downloads):
    change, named = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=named):
        load(edited(lambda config: config["config"].update(change(""))))


@pytest.mark.parametrize("where", ["loss", "metrics", "optimizer"])
def test_compilation_names_no_other_functions(where, edited, load, no_downloads):
    bad = function("keras.datasets.mnist", "load_data")
    with pytest.raises((ValueError, TypeError), match="load_data"):
        load(edited(lambda config: config["compile_config"].update({where: bad})))


def test_safe_mode_is_the_users_choice(edited):
    """`safe_mode=False` reads what is refused else, here a class of TFP that takes a function."""
    base = made("distributions.StandardNormal", event_shape=listed([2]))
    same = {"kind": "registered", "name": "tests>same"}
    flow = made("tfd.TransformedDistribution", distribution=base, bijector=inline(same))
    config = {"name": "m", "encoder": None, "schema": None, "distribution": flow}
    with pytest.raises(ValueError, match="safe_mode=False"):
        nvp.FlowModel.from_config(config)
    node = {"class_name": "FlowModel", "registered_name": "tfp_nvp>FlowModel", "module": "tfp_nvp", "config": config}
    with pytest.raises(ValueError, match="safe_mode=False"):
        keras.saving.deserialize_keras_object(node)
    loaded = keras.saving.deserialize_keras_object(node, safe_mode=False)
    assert type(loaded.distribution.bijector).__name__ == "Inline"


def test_custom_objects_may_be_named(rng):
    """What the caller passes is the caller's choice."""

    class Own(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    flow = nvp.RealNVP([2], num_layers=1, hidden_units=[4], condition_shape=[1], seed=0)
    config = nvp.FlowModel(flow, Own()).get_config()
    with pytest.raises((ValueError, TypeError), match="Own"):
        nvp.FlowModel.from_config(config)
    loaded = nvp.FlowModel.from_config(config, custom_objects={"Own": Own})
    assert isinstance(loaded.encoder, Own)


def test_the_lists_are_of_classes_that_take_no_functions():
    for namespace, names in ((tfd, _nameable.DISTRIBUTIONS), (tfb, _nameable.BIJECTORS)):
        for name in names:
            cls = getattr(namespace, name)
            assert issubclass(cls, (tfd.Distribution, tfb.Bijector))
            taken = inspect.signature(cls.__init__).parameters
            functions = {argument for argument in taken if argument.endswith("_fn") or argument in ("model", "kernel")}
            assert functions <= {"cholesky_fn", "kwargs_split_fn"}  # what is given there is refused, as anywhere


# Sizes. The file has some kilobytes.

VECTOR = {"event_shape": listed([2]), "num_layers": 2}
MASK = {"kind": "array", "values": [True, False], "shape": [2], "dtype": "bool"}


def network(**config):
    config = {"num_outputs": 2, "hidden_units": [4], "activation": "relu", "name": "mlp", "dtype": "float32"} | config
    part = {"module": "tfp_nvp", "class_name": "MLP", "registered_name": "tfp_nvp>MLP", "config": config}
    coupling = made("bijectors.Coupling", transformer=made("transformers.Affine"), mask=MASK,
                    conditioner={"kind": "keras", "config": part})  # fmt: skip
    base = made("distributions.StandardNormal", event_shape=listed([2]))
    return lambda mark: {"distribution": made("distributions.Flow", distribution=base, bijector=coupling)}


def layers(*configs):
    """An encoder of Keras layers."""
    inputs = ("InputLayer", {"batch_shape": [None, 2], "dtype": "float32", "name": "i"})
    parts = [instance("keras.layers", name, **config) for name, config in (inputs, *configs)]
    model = {"module": "keras", "class_name": "Sequential", "registered_name": None, "config": {"layers": parts}}
    flow = made("flows.RealNVP", **VECTOR, condition_shape=listed([2]))
    return lambda mark: {"distribution": flow, "encoder": model}


def nested(depth):
    value = made("tfb.Identity")
    for _ in range(depth):
        value = made("tfb.Invert", bijector=value)
    return value


BOMBS = {
    "wide": stock("flows.RealNVP", **VECTOR, hidden_units=listed([30_000, 30_000])),
    "wider": stock("flows.RealNVP", **VECTOR, hidden_units=listed([10**6, 10**6])),
    "deep": stock("flows.RealNVP", event_shape=listed([2]), num_layers=10**9),
    "many layers": stock("flows.RealNVP", event_shape=listed([2]), num_layers=20_000),
    "many and wide": stock("flows.RealNVP", event_shape=listed([2]), num_layers=500, hidden_units=listed([999] * 9)),
    "many blocks": stock("flows.NeuralSplineFlow", **VECTOR, num_blocks=10**8),
    "large event": stock("flows.RealNVP", event_shape=listed([10**9]), num_layers=2),
    "large square": stock("flows.NeuralSplineFlow", event_shape=listed([60_000]), num_layers=2),
    "large axes": stock("bijectors.PrincipalAxes", event_shape=listed([60_000])),
    "large image": stock("flows.Glow", event_shape=listed([2**15, 2**15, 3]), num_levels=1, num_steps=1),
    "many channels": stock("flows.Glow", event_shape=listed([32, 32, 3]), hidden_units=10**5),
    "many bins": stock("flows.RealNVP", **VECTOR, transformer=made("transformers.RationalQuadratic", num_bins=10**8)),
    "many quantiles": stock("bijectors.Quantile", event_shape=listed([2]), num_bins=10**9),
    "squeeze": stock("bijectors.Squeeze", factor=10**5, order="dispersed"),
    "sample": stock("tfd.Sample", distribution=made("tfd.Normal", loc=0.0, scale=1.0), sample_shape=listed([10**9])),
    "sample of a shape": stock(
        "tfd.Sample", distribution=made("tfd.Normal", loc=0.0, scale=1.0),
        sample_shape={"kind": "shape", "sizes": [10**6, 10**6]}
    ),
    "sphere": stock("tfd.SphericalUniform", dimension=10**10),
    "standard normal": stock("distributions.StandardNormal", event_shape=listed([10**10])),
    "wide network": network(hidden_units=[40_000, 40_000]),
    "dense": layers(("Dense", {"units": 50_000}), ("Dense", {"units": 50_000})),
    "attention": layers(("MultiHeadAttention", {"num_heads": 10**5, "key_dim": 10**5})),
    "lstm": layers(("Reshape", {"target_shape": [2, 1]}), ("LSTM", {"units": 30_000})),
    "embedding": layers(("Embedding", {"input_dim": 10**8, "output_dim": 64})),
    "kernel": layers(("Reshape", {"target_shape": [2, 1]}), ("Conv1D", {"filters": 4, "kernel_size": [10**9]})),
    "strings": lambda mark: {
        "encoder": {"class_name": "__numpy__", "config": {"value": [1] * 9, "dtype": "S1000000000"}}
    },
    "array": stock("tfb.Shift", shift={"kind": "array", "values": [1.0], "shape": [10**12], "dtype": "float32"}),
    "array of text": stock("tfb.Shift", shift={"kind": "array", "values": ["x"], "shape": [1], "dtype": "string"}),
    "nested objects": lambda mark: {"distribution": nested(200)},
    "nested lists": stock("tfb.Chain", bijectors=json.loads("[" * 300 + "]" * 300)),
    "many objects": stock("tfb.Chain", bijectors=listed([made("tfb.Exp")] * 20_000)),
    "digits": stock("flows.RealNVP", event_shape=listed([10**4000]), num_layers=2),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_takes_little_memory_and_time(bomb, edited, load):
    file = edited(lambda config: config["config"].update(BOMBS[bomb]("")))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises((ValueError, TypeError)):
        load(file)
    assert time.perf_counter() - started < 30.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB


@pytest.mark.parametrize(
    "metric",
    [instance("keras.metrics", "AUC", num_thresholds=10**8), instance("keras.metrics", "MeanIoU", num_classes=10**5)],
    ids=["auc", "iou"],
)
def test_metrics_are_bounded_too(metric, edited, load):
    with pytest.raises((ValueError, TypeError), match="as a size of a metric"):
        load(edited(lambda config: config["compile_config"].update(metrics=[metric])))


def test_lora_of_a_large_rank_is_refused(edited, load):
    settings = [{}, {"lora_rank": 10**9}]
    with pytest.raises((ValueError, TypeError)):
        load(edited(lambda config: config["config"].update(settings=settings)))


#: What checks a file before Keras reads it.
CAREFUL = pytest.mark.parametrize("careful", [nvp.load_model, models.load_model], ids=["nvp", "cli"])


def test_our_own_function_loads_what_keras_does(saved):
    x = np.zeros([2, 2], np.float32)
    np.testing.assert_array_equal(nvp.load_model(saved).log_prob(x), keras.saving.load_model(saved).log_prob(x))
    with pytest.raises(FileNotFoundError):
        nvp.load_model(saved.with_name("none.keras"))


@CAREFUL
def test_a_compressed_config_is_not_unpacked(careful, tmp_path):
    target = tmp_path / "flow.keras"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("config.json", b" " * 2**27)
        bomb.writestr("metadata.json", b"{}")
        bomb.writestr("model.weights.h5", b"")
    with pytest.raises(ValueError, match="its parts take"):
        careful(target)


@CAREFUL
def test_deep_json_is_refused(careful, tmp_path):
    with zipfile.ZipFile(tmp_path / "flow.keras", "w") as bomb:
        bomb.writestr("config.json", "[" * 100_000 + "]" * 100_000)
        bomb.writestr("metadata.json", "{}")
        bomb.writestr("model.weights.h5", b"")
    with pytest.raises(ValueError, match=r"flow\.keras: not a model that can be loaded"):
        careful(tmp_path / "flow.keras")


def test_the_limits_are_those_of_the_file(saved, tmp_path, monkeypatch):
    """Keras' loader is found among the callers; without one, the limits are wide."""
    seen = []
    wide = _limits.Limits(2**40, 2**40, 2**40)
    monkeypatch.setattr(_limits.Limits, "of", lambda size: seen.append(size) or wide)
    keras.saving.load_model(saved)
    with zipfile.ZipFile(saved) as archive:
        assert set(seen) == {archive.getinfo("model.weights.h5").file_size}
        archive.extractall(tmp_path / "folder")
    seen.clear()
    keras.saving.load_model(tmp_path / "folder")
    assert set(seen) == {(tmp_path / "folder" / "model.weights.h5").stat().st_size}
    seen.clear()
    config = nvp.FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0)).get_config()
    nvp.FlowModel.from_config(config)
    assert set(seen) == {None}


def test_every_preset_is_within_the_limits_of_a_small_file():
    recipes = [nvp.Glow, nvp.FlowPlusPlus, nvp.ImageRealNVP, nvp.ImageResidualFlow, nvp.SubscaleFlow]
    for recipe, (shape, preset) in [(each, item) for each in recipes for item in each.PRESETS.items()]:
        arguments = {name: value for name, value in preset.items() if isinstance(value, (int, float, str))}
        config = made(f"flows.{recipe.__name__}", event_shape=listed(list(shape)), **arguments)
        _limits.check_config(config, _limits.Limits.of(10**6))


SCHEMA = {"low": [0.0, None], "high": [1.0, None], "step": [0.0, 0.01], "origin": [0.0, 0.0]}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step": "x"}, "`step` must hold finite numbers of at least 0"),
        ({"step": [float("inf"), 0.0]}, "`step` must hold finite numbers of at least 0"),
        ({"step": [-1.0, 0.01]}, "`step` must hold finite numbers of at least 0"),
        ({"low": [None]}, "tells of"),
        ({"low": [2.0, None]}, "`low` must be below `high`"),
        ({"columns": ["a"]}, "tells of"),
        ({"columns": ["a", "a"]}, "`columns` must be different names"),
        ({"columns": ["a", 3]}, "`columns` must be names"),
        (
            {name: values[:1] for name, values in SCHEMA.items()},
            "must be of the 2 columns of the distribution; it is of 1",
        ),
    ],
)
def test_a_schema_that_contradicts_itself_or_the_model_is_refused(wrong, message, edited):
    assert nvp.load_model(edited(lambda config: config["config"].update(schema=SCHEMA))).schema.step == (0.0, 0.01)
    with pytest.raises(ValueError, match=message):
        nvp.load_model(edited(lambda config: config["config"].update(schema={**SCHEMA, **wrong})))


@CAREFUL
@pytest.mark.parametrize("damage", ["deflated config", "weights", "dtype", "distribution"])
def test_damage_is_a_value_error_that_names_the_file(damage, careful, edited, saved, tmp_path):
    def change(config):
        inner = config["config"]["distribution"]["arguments"]
        if damage == "dtype":
            inner["dtype"] = "replaced"
        if damage == "distribution":
            config["config"]["distribution"] = None

    target = edited(change)
    if damage in ("deflated config", "weights"):
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(target, "w") as copy:
            for name in source.namelist():
                data, kind = source.read(name), zipfile.ZIP_STORED
                if damage == "weights" and name.endswith(".h5"):
                    data = data[: len(data) // 2]
                if damage == "deflated config" and name == "config.json":
                    kind = zipfile.ZIP_DEFLATED
                copy.writestr(name, data, kind)
        if damage == "deflated config":
            content = bytearray(target.read_bytes())
            start = content.index(b"config.json") + len(b"config.json")
            content[start + 20 : start + 60] = bytes(40)
            target.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"flow\.keras: not a model that can be loaded: ") as caught:
        careful(target)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "name",
    [
        "keras.src.utils.file_utils>get_file",
        "keras.src.saving.saving_lib>load_model",
        "keras.src.applications.resnet>ResNet50",
        "keras.src.callbacks.csv_logger>CSVLogger",
        "keras.src.layers.core.lambda_layer>Lambda",
    ],
)
def test_keras_own_modules_are_no_way_around(name):
    module, kind = name.split(">")
    node = {"module": module, "class_name": kind, "config": {}, "registered_name": None}
    with pytest.raises(ValueError, match=f"`{module}.{kind}`, which is no class of a model"):
        _nameable.check_keras_names(node)


def test_functional_models_of_operations_may_be_named(tmp_path):
    inputs = keras.Input([3])
    parts = [keras.ops.tanh(inputs), keras.layers.Dense(1)(inputs) + 1.0]
    encoder = keras.Model(inputs, keras.ops.concatenate(parts, axis=-1))
    model = nvp.FlowModel(
        nvp.RealNVP([2], num_layers=1, hidden_units=[4], condition_shape=[4], seed=0), encoder=encoder
    )
    model.save(tmp_path / "model.keras")
    condition = np.ones([2, 3], np.float32)
    np.testing.assert_allclose(
        nvp.load_model(tmp_path / "model.keras").log_prob(np.zeros([2, 2]), condition),
        model.log_prob(np.zeros([2, 2]), condition),
        rtol=1e-6,
    )
