"""Servers that run all the exported models, and what to ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tests.serving.conftest import CASES, Exported, affine
from tests.serving.rounding import within
from tests.serving.wire.processes import KINDS, Running, config_of, start, stop
from tfp_nvp.serving import export

Arrays = dict[str, np.ndarray]

#: Models of which batches are made: with a condition, strings, integers, samples row by row, and no flow.
BATCHED = ("conditional", "encoder_of_two", "mixture_base", "iaf", "stock", "digits")

BATCHING = """
max_batch_size { value: 64 }
batch_timeout_micros { value: 10000 }
max_enqueued_batches { value: 100000 }
num_batch_threads { value: 2 }
allowed_batch_sizes: 4
allowed_batch_sizes: 16
allowed_batch_sizes: 64
"""


@pytest.fixture(scope="session")
def models(exported: Callable[[str], Exported], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """`exported`, and a model of integers."""
    made: dict[str, Exported] = {}

    def digits() -> Exported:
        flow = nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, num_bins=5, seed=0)
        model = nvp.Dequantized(randomized(flow), levels=5)
        model.initialize(np.random.default_rng(0).integers(5, size=(50, 4, 4, 1)))
        folder = export(model, tmp_path_factory.mktemp("models") / "digits", verify=False)
        return Exported("digits", model, model, folder)

    def get(name: str) -> Exported:
        if name != "digits":
            return exported(name)
        if not made:
            made[name] = digits()
        return made[name]

    return get


@pytest.fixture(params=[*CASES, "digits"])
def case(request: pytest.FixtureRequest, models: Callable[[str], Exported]) -> Exported:
    """Each model in turn."""
    return models(request.param)


@pytest.fixture(scope="session", params=KINDS)
def launch(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Running]]:
    """`start` with the kind of server in turn; ends what it started."""
    running: list[Running] = []

    def launch_one(config: str, batching: str | None = None) -> Running:
        started = start(request.param, config, tmp_path_factory.mktemp("server") / "files", batching)
        running.append(started)
        return started

    yield launch_one
    for each in running:
        stop(each)


@pytest.fixture(scope="session")
def changing(launch: Callable[..., Running], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of models that tests publish more versions to; others for each kind of server."""
    folders = {name: tmp_path_factory.mktemp("changing") / name for name in ("swapped", "refused", "labelled")}
    for folder in folders.values():
        export(affine(), folder, verify=False)
    export(affine(), folders["labelled"], signatures={"shout": shout}, verify=False)
    return folders


@tf.function(input_signature=[tf.TensorSpec([None, 2], tf.string, name="word")])
def shout(word: tf.Tensor) -> dict[str, tf.Tensor]:
    """A signature whose outputs are strings, to which the server's JSON adds what no text has."""
    return {"loud": tf.strings.upper(word), "raw_bytes": tf.strings.join([word, tf.constant(b"\xff")])}


@pytest.fixture(scope="session")
def servers(
    launch: Callable[..., Running], models: Callable[[str], Exported], changing: dict[str, Path]
) -> tuple[Running, Running]:
    """Both servers below."""
    labelled = """
        model_version_policy { specific { versions: 1 versions: 2 } }
        version_labels { key: "stable" value: 1 }
        version_labels { key: "canary" value: 2 }
    """
    batched = {name: models(name).folder.parent for name in BATCHED}
    with ThreadPoolExecutor(1) as pool:  # one server loads its models while the others' are made
        batching = pool.submit(launch, config_of(batched), BATCHING)
        folders = {name: models(name).folder.parent for name in (*CASES, "digits")}
        return launch(config_of({**folders, **changing}, {"labelled": labelled})), batching.result()


@pytest.fixture(scope="session")
def server(servers: tuple[Running, Running]) -> Running:
    """A server of every model, which answers each request by itself."""
    return servers[0]


@pytest.fixture(scope="session")
def batching_server(servers: tuple[Running, Running]) -> Running:
    """A server of some models, which merges requests."""
    return servers[1]


def inputs_of(case: Exported, n: int, seed: int = 3) -> dict[str, Arrays]:
    """n rows of inputs for each signature, as it takes them."""
    rng = np.random.default_rng(seed)
    raw = case.raw_condition(n)
    condition = {} if raw is None else raw if isinstance(raw, dict) else {"condition": raw}
    pool = {
        **{key: value.astype(object) if value.dtype.kind == "U" else value for key, value in condition.items()},
        "x": case.served.sample(n, seed=seed, condition=raw),
        "seed": rng.integers(-(2**31), 2**31, size=[n, 2]).astype(np.int32),
        "temperature": rng.uniform(0.3, 1.2, size=[n]),
    }
    if "encode" in case.served.signatures:
        pool["z"] = case.served.encode(pool["x"], raw)[0]
    made = {}
    for name in case.served.signatures:
        specs = case.served._loaded.signatures[name].structured_input_signature[1]
        made[name] = {key: pool[key].astype(spec.dtype.as_numpy_dtype) for key, spec in specs.items()}
    return made


def in_python(case: Exported, signature: str, inputs: Arrays) -> Arrays:
    """What the folder answers, loaded into this process."""
    function = case.served._loaded.signatures[signature]
    return {key: value.numpy() for key, value in function(**{k: tf.constant(v) for k, v in inputs.items()}).items()}


def assert_close(case: Exported, outputs: Arrays, expected: Arrays) -> None:
    """Same names, types, shapes, and numbers but for the order of summation."""
    assert set(outputs) == set(expected)
    # The server merges and pads batches, which are then summed in other orders, through all layers.
    tolerance = within(case.distribution.dtype if case.distribution.dtype.is_floating else "float32")
    for key, value in expected.items():
        assert outputs[key].dtype == value.dtype
        if value.dtype.kind in "iu":  # real numbers rounded down: one that is all but whole may fall on either side
            np.testing.assert_allclose(outputs[key], value, atol=1)
            assert np.count_nonzero(outputs[key] != value) <= 1 + 0.01 * value.size
        else:
            np.testing.assert_allclose(outputs[key], value, **tolerance)


@pytest.fixture
def grpc_client(server: Running) -> Iterator[Any]:
    """A client of `server`."""
    from tests.serving.wire.clients import GrpcClient

    client = GrpcClient(server.port)
    yield client
    client.channel.close()


@pytest.fixture
def rest_client(server: Running) -> Iterator[Any]:
    """A client of `server`."""
    from tests.serving.wire.clients import RestClient

    client = RestClient(server.rest_port)
    yield client
    client.close()
