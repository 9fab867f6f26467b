"""Requests that share a batch are answered as if each came alone."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from tests.serving.conftest import affine
from tests.serving.rounding import within
from tests.serving.wire.conftest import BATCHED, assert_close, in_python, inputs_of
from tests.serving.wire.processes import config_of, stop
from tfp_nvp import serving
from tfp_nvp.serving import export

clients = pytest.importorskip("tests.serving.wire.clients")

#: A condition of a row, integers, and text; the others are exhaustive.
USUAL = ("conditional", "digits", "encoder_of_two")
POOL, THREADS, REQUESTS = 60, 8, 6

NARROW = """
max_batch_size { value: 4 }
batch_timeout_micros { value: 500000 }
max_enqueued_batches { value: 1 }
num_batch_threads { value: 2 }
"""


@pytest.fixture
def client(batching_server):
    made = clients.GrpcClient(batching_server.port)
    yield made
    made.channel.close()


def take(arrays, rows):
    return {key: value[rows] for key, value in arrays.items()}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in USUAL else pytest.mark.exhaustive) for name in BATCHED]
)
def test_each_row_is_answered_alike_whoever_shares_its_batch(name, models, client):
    """Rows out of a pool, in requests of 1 to 17, of all signatures at once, and from many threads."""
    case = models(name)
    inputs = inputs_of(case, POOL)
    alone = {signature: in_python(case, signature, rows) for signature, rows in inputs.items()}
    for values in alone.values():  # else a neighbour's answer would pass for one's own
        first = next(iter(values.values())).reshape(POOL, -1)
        assert len(np.unique(first.round(3), axis=0)) > POOL // 2

    def ask(thread):
        rng = np.random.default_rng(thread)
        for _ in range(REQUESTS):
            signature = rng.choice(list(inputs))
            rows = rng.integers(POOL, size=rng.integers(1, 18))
            answer = client.predict(name, signature, take(inputs[signature], rows))
            assert_close(case, answer.outputs, take(alone[signature], rows))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(ask, range(THREADS)))


def test_rest_shares_batches_too(models, batching_server, client):
    case = models("conditional")
    inputs = inputs_of(case, POOL)["sample_tempered"]
    alone = in_python(case, "sample_tempered", inputs)

    def ask_rest(thread):
        rest, rng = clients.RestClient(batching_server.rest_port), np.random.default_rng(thread)
        for _ in range(REQUESTS):
            rows = rng.integers(POOL, size=rng.integers(1, 18))
            columns = {key: value.tolist() for key, value in take(inputs, rows).items()}
            x = rest.predict(case.name, signature_name="sample_tempered", inputs=columns)["outputs"]
            assert_close(case, {"x": np.array(x, np.float32)}, take(alone, rows))
        rest.close()

    def ask_grpc(thread):
        rng = np.random.default_rng(100 + thread)
        for _ in range(REQUESTS):
            rows = rng.integers(POOL, size=rng.integers(1, 18))
            answer = client.predict(case.name, "sample_tempered", take(inputs, rows))
            assert_close(case, answer.outputs, take(alone, rows))

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(ask, i) for i in range(4) for ask in (ask_rest, ask_grpc)]
    for future in futures:
        future.result()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"temperature": np.float32(0.5)}, "no first dimension"),
        ({"temperature": np.full([3], 0.5, np.float32)}, "unequal first dimensions"),
        ({"condition": np.zeros([1, 3], np.float32)}, "unequal first dimensions"),
    ],
)
def test_a_batch_needs_rows_that_match(change, why, models, client):
    inputs = inputs_of(models("conditional"), 2)["sample_tempered"]
    with pytest.raises(grpc.RpcError) as caught:
        client.predict("conditional", "sample_tempered", inputs | change)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT, why
    assert client.predict("conditional", "sample_tempered", inputs).outputs["x"].shape == (2, 2)


def test_a_request_above_the_largest_batch_is_refused(models, client):
    inputs = inputs_of(models("conditional"), 65)["encode"]
    with pytest.raises(grpc.RpcError) as caught:
        client.predict("conditional", "encode", inputs)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(client.predict("conditional", "encode", take(inputs, slice(64))).outputs["z"]) == 64


@pytest.fixture(scope="module")
def narrow_server(launch, tmp_path_factory):
    """One that lets a single batch wait, of at most four rows, half a second for more."""
    folder = tmp_path_factory.mktemp("models") / "narrow"
    export(affine(), folder, verify=False)
    running = launch(config_of({"narrow": folder}), NARROW)
    yield running, serving.load(folder)
    stop(running)


def test_a_full_queue_answers_unavailable(narrow_server, rng):
    running, alone = narrow_server
    x = rng.normal(size=[8, 3, 3]).astype(np.float32)
    client = clients.GrpcClient(running.port)

    def ask(part):
        try:
            return client.predict("narrow", "log_prob", {"x": part}).outputs["log_prob"]
        except grpc.RpcError as error:
            return error

    with ThreadPoolExecutor(len(x)) as pool:
        answers = list(pool.map(ask, x))
    client.channel.close()
    refused = [answer for answer in answers if isinstance(answer, grpc.RpcError)]
    assert 0 < len(refused) < len(x)
    for error in refused:
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert "submitted is full" in error.details()
    for part, answer in zip(x, answers, strict=True):
        if not isinstance(answer, grpc.RpcError):
            # Batches of other sizes are summed in other orders, through all layers.
            np.testing.assert_allclose(answer, alone.log_prob(part), **within())


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_our_client_asks_a_full_queue_again(protocol, narrow_server, rng):
    running, alone = narrow_server
    x = rng.normal(size=[9, 3]).astype(np.float32)
    address = f"{protocol}://localhost:{running.port if protocol == 'grpc' else running.rest_port}"
    with (
        serving.Client(address, "narrow", chunk_rows=3, retries=0) as impatient,
        pytest.raises(serving.Unavailable, match="submitted is full"),
    ):
        impatient.log_prob(x)
    with serving.Client(address, "narrow", chunk_rows=3, retries=10) as patient:
        np.testing.assert_allclose(patient.log_prob(x), alone.log_prob(x), **within())
