""".keras files that are broken, or made to run code, are refused; nothing in them is run."""

import importlib
import json
import zipfile

import keras
import numpy as np
import pytest

import tfp_nvp as nvp
from tfp_nvp import _serialization as serialization
from tfp_nvp.cli import models


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


def instance(module, name, **config):
    return {"class_name": name, "module": module, "config": config, "registered_name": None}


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
