"""The tests' own server is as strict as the real one: what it refuses, merges, loads and unloads."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.test_imports import imported_modules

pytest.importorskip("tests.serving.wire.model_server.server")

import grpc
from tensorflow_serving.apis import predict_pb2

from tests.serving.wire import clients
from tests.serving.wire.model_server import json_tensors
from tests.serving.wire.model_server.batcher import Batcher, BatchingParameters
from tests.serving.wire.model_server.errors import Code, ServingError
from tests.serving.wire.model_server.grpc_api import start_grpc
from tests.serving.wire.model_server.servable import Servable
from tests.serving.wire.model_server.versions import Loading, Model, latest, specific

SMALL = BatchingParameters(max_batch_size=8, batch_timeout=0.05, allowed_batch_sizes=(2, 8))


def at_once(function, arguments):
    """Results, or errors, of calls from a thread each."""

    def call(argument):
        try:
            return function(argument)
        except ServingError as error:
            return error.code

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(call, arguments))


class Recorder:
    """A session's `run` that doubles, and keeps what it was fed."""

    def __init__(self):
        self.fed = []

    def __call__(self, feeds, fetches):
        self.fed.append(feeds["x"])
        return [feeds["x"] * 2.0 for _ in fetches]


def test_requests_are_merged_padded_and_split():
    run = Recorder()
    batcher = Batcher(run, SMALL)
    parts = [np.full([rows, 3], rows, np.float32) for rows in (1, 3, 2)]
    results = at_once(lambda x: batcher.run({"x": x}, ["y"]), parts)
    for x, (y,) in zip(parts, results, strict=True):
        np.testing.assert_array_equal(y, x * 2.0)
    (fed,) = run.fed
    assert fed.shape == (8, 3)
    np.testing.assert_array_equal(fed[6:], fed[[5, 5]])  # the last request's row, not zeros
    batcher.close()


def test_batches_are_of_allowed_sizes_and_fewer_than_requests():
    run = Recorder()
    batcher = Batcher(run, SMALL)
    results = at_once(lambda x: batcher.run({"x": x}, ["y"]), [np.full([3, 1], i, np.float32) for i in range(16)])
    assert [float(y[0, 0]) for (y,) in results] == [2.0 * i for i in range(16)]
    assert len(run.fed) < 16
    assert {len(x) for x in run.fed} <= {2, 8}
    batcher.close()


def test_requests_for_other_tensors_do_not_share_a_batch():
    run = Recorder()
    batcher = Batcher(run, SMALL)
    at_once(lambda fetch: batcher.run({"x": np.zeros([1, 3])}, [fetch]), ["a", "b"])
    assert len(run.fed) == 2
    batcher.close()


def test_a_request_of_no_rows_hangs_until_it_fails_another(tmp_path):
    batcher = Batcher(Recorder(), SMALL._replace(batch_timeout=0.0))

    def ask(rows):
        return batcher.run({"x": np.zeros([rows, 3])}, ["y"])

    with ThreadPoolExecutor(1) as pool:
        empty = pool.submit(ask, 0)
        time.sleep(0.2)
        assert not empty.done()
        for caller in (lambda: ask(1), empty.result):
            with pytest.raises(ServingError, match="no rows") as caught:
                caller()
            assert caught.value.code == Code.INVALID_ARGUMENT
    assert ask(1)[0].shape == (1, 3)
    batcher.close()


def test_calls_beyond_the_threads_are_refused():
    held, begun = threading.Event(), threading.Semaphore(0)

    class Slow:
        def predict(self, request):
            begun.release()
            assert held.wait(30.0)
            return predict_pb2.PredictResponse()

    server, port = start_grpc(Slow(), 0, max_threads=2)
    client = clients.GrpcClient(port)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.predict, "m", "", {}) for _ in range(2)]
        for _ in waiting:
            assert begun.acquire(timeout=30.0)
        with pytest.raises(grpc.RpcError) as caught:
            client.predict("m", "", {})
        held.set()
        assert [each.result().outputs for each in waiting] == [{}, {}]
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.details() == "Server Threadpool Exhausted"
    client.channel.close()
    server.stop(0).wait()


def test_a_neighbour_of_another_shape_fails_the_batch():
    batcher = Batcher(Recorder(), SMALL)
    results = at_once(lambda size: batcher.run({"x": np.zeros([1, size])}, ["y"]), [2, 3])
    assert results == [Code.FAILED_PRECONDITION] * 2
    batcher.close()


def test_large_requests_are_refused_or_split():
    x = np.arange(19.0)[:, None]
    run = Recorder()
    strict, splitting = Batcher(run, SMALL), Batcher(run, SMALL._replace(enable_large_batch_splitting=True))
    assert at_once(lambda x: strict.run({"x": x}, ["y"]), [x]) == [Code.INVALID_ARGUMENT]
    (y,) = splitting.run({"x": x}, ["y"])
    np.testing.assert_array_equal(y, x * 2.0)
    assert max(map(len, run.fed)) == 8
    strict.close()
    splitting.close()


@pytest.mark.parametrize("splitting", [False, True])
def test_a_full_queue_refuses(splitting):
    held, run = threading.Event(), Recorder()
    parameters = SMALL._replace(batch_timeout=0.0, max_enqueued_batches=2, enable_large_batch_splitting=splitting)
    batcher = Batcher(lambda feeds, fetches: held.wait(30.0) and run(feeds, fetches), parameters)

    def ask(rows):
        return batcher.run({"x": np.full([rows, 1], rows)}, ["y"])

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, 8)]
        (queue,) = until(batcher._queues.values)
        until(lambda: waiting[0].running() and not queue._tasks)  # it runs, and keeps the thread
        for i, rows in enumerate((7, 5)):  # two batches wait, the second of which has room for three rows
            waiting.append(pool.submit(ask, rows))
            until(lambda i=i: len(queue._tasks) == i + 1)
        for rows in (4, 8):
            with pytest.raises(ServingError, match="queue to which this task was submitted is full") as caught:
                ask(rows)
            assert caught.value.code == Code.UNAVAILABLE
        waiting.append(pool.submit(ask, 3))
        until(lambda: len(queue._tasks) == 3)
        held.set()
        for rows, (y,) in zip((8, 7, 5, 3), [each.result() for each in waiting], strict=True):
            np.testing.assert_array_equal(y, np.full([rows, 1], 2.0 * rows))
    batcher.close()


def until(look):
    """What `look` returns, once it is true."""
    end = time.monotonic() + 30.0
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


@pytest.mark.parametrize("feeds", [{}, {"x": np.float32(1.0)}, {"x": np.zeros([2, 1]), "y": np.zeros([3])}])
def test_inputs_without_common_rows_are_refused(feeds):
    batcher = Batcher(Recorder(), SMALL)
    assert at_once(lambda feeds: batcher.run(feeds, ["y"]), [feeds]) == [Code.INVALID_ARGUMENT]


def test_parameters_are_read():
    text = (
        "max_batch_size { value: 8 }\nbatch_timeout_micros{value:50000}\nallowed_batch_sizes: 2 allowed_batch_sizes:8"
    )
    assert BatchingParameters.parse(text) == SMALL
    more = BatchingParameters.parse(f"{text} max_enqueued_batches {{ value: 3 }}")
    assert more == SMALL._replace(max_enqueued_batches=3)
    with pytest.raises(ValueError, match="must be positive"):
        BatchingParameters.parse("max_enqueued_batches { value: 0 }")
    assert BatchingParameters.parse("enable_large_batch_splitting { value: true }").enable_large_batch_splitting
    for wrong in ("2", "8 allowed_batch_sizes: 2"):
        with pytest.raises(ValueError, match="must increase up to 8"):
            BatchingParameters.parse(f"max_batch_size {{ value: 8 }} allowed_batch_sizes: {wrong}")


def save(folder, function):
    """A SavedModel of a function of x [None, 2]."""
    module = tf.Module()
    module.call = tf.function(function, input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    tf.saved_model.save(module, str(folder), signatures=module.call)
    return folder


@pytest.mark.parametrize("reduce", [tf.reduce_sum, lambda x: tf.reduce_sum(x, axis=0)], ids=["scalar", "columns"])
def test_outputs_without_the_batch_are_refused_only_when_batching(reduce, tmp_path):
    folder = save(tmp_path / "1", lambda x: {"y": reduce(x)})
    x = np.ones([3, 2], np.float32)
    alone, batched = Servable(folder), Servable(folder, SMALL)
    assert np.sum(alone.predict("", {"x": x})["y"]) == 6.0
    assert at_once(lambda x: batched.predict("", {"x": x}), [x]) == [Code.FAILED_PRECONDITION]
    alone.close()
    batched.close()


def test_rows_that_depend_on_each_other_show_under_batching(tmp_path):
    """What `test_batching` would see of a model that mixes rows."""
    servable = Servable(save(tmp_path / "1", lambda x: {"y": x - tf.reduce_mean(x, axis=0)}), SMALL)
    rows = [np.full([2, 2], i, np.float32) for i in range(3)]
    results = at_once(lambda x: servable.predict("", {"x": x})["y"], rows)
    assert not any(np.allclose(y, 0.0) for y in (results[0], results[2]))
    assert servable.num_runs == 1
    servable.close()


def test_the_session_is_fed_any_shape_and_only_its_own_types(tmp_path):
    """As a C++ session is: Python's would refuse the shape before it runs."""
    servable = Servable(save(tmp_path / "1", lambda x: {"y": x + tf.constant([1.0, 2.0])}))
    assert servable.predict("", {"x": np.zeros([3, 1], np.float32)})["y"].shape == (3, 2)
    with pytest.raises(tf.errors.InvalidArgumentError):
        servable.predict("", {"x": np.zeros([3, 2], np.float64)})
    servable.close()


def test_an_export_is_warmed_up_with_a_request_for_each_signature(models):
    for name in ("uniform_base", "stock"):
        case = models(name)
        servable = Servable(case.folder, SMALL)
        assert servable.warm_up() == len(case.served.signatures) == servable.num_runs
        servable.close()


class Fake:
    """What a version's folder loads to."""

    def __init__(self, folder):
        if (folder / "bad").exists():
            raise OSError("bad")
        self.closed = False

    def close(self):
        self.closed = True


def model_of(path, policy=None, load=Fake, **loading):
    return Model("m", path, load, policy or latest(), Loading(ThreadPoolExecutor(2), **{"retries": 0, **loading}))


def test_a_version_goes_when_the_next_is_there_and_its_requests_are_done(tmp_path):
    model = model_of(tmp_path)
    model.poll()
    with pytest.raises(ServingError, match="not found"), model.lease():
        pass
    (tmp_path / "3").mkdir()
    (tmp_path / "notes").mkdir()
    model.poll()
    with model.lease() as (version, servable):
        assert version == 3
        (tmp_path / "10").mkdir()
        poll = threading.Thread(target=model.poll)
        poll.start()
        deadline = time.monotonic() + 10.0
        while model.states[3].name != "UNLOADING" and time.monotonic() < deadline:
            time.sleep(0.01)
        with model.lease() as (newer, _):
            assert newer == 10
        assert not servable.closed
    poll.join()
    assert servable.closed
    assert {v: state.name for v, state in model.states.items()} == {3: "END", 10: "AVAILABLE"}


def test_a_version_that_fails_leaves_the_old_one(tmp_path):
    (tmp_path / "1").mkdir()
    model = model_of(tmp_path)
    model.poll()
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "bad").touch()
    model.poll()
    (tmp_path / "2" / "bad").unlink()
    model.poll()  # it is not tried again
    assert {v: state.name for v, state in model.states.items()} == {1: "AVAILABLE", 2: "END"}
    assert model.states[2].error.code == Code.INTERNAL
    with model.lease() as (version, _):
        assert version == 1


def test_a_version_that_fails_is_tried_again_and_others_wait_for_the_thread(tmp_path):
    tried = []

    def load(folder):
        tried.append(folder.name)
        if folder.name == "1" and len(tried) < 3:
            raise OSError("bad")
        return Fake(folder)

    for name in "12":
        (tmp_path / name).mkdir()
    model = Model("m", tmp_path, load, latest(2), Loading(ThreadPoolExecutor(1), retries=2, interval=0.05))
    begin = time.monotonic()
    model.poll()
    assert tried == ["1", "1", "1", "2"]
    assert time.monotonic() - begin >= 0.1
    assert {state.name for state in model.states.values()} == {"AVAILABLE"}


def test_policies_and_labels(tmp_path):
    for name in "123":
        (tmp_path / name).mkdir()
    for policy, served in ((latest(), {3}), (latest(2), {2, 3}), (specific([1, 3]), {1, 3})):
        model = model_of(tmp_path, policy)
        model.poll()
        assert set(model.states) == served
    model.configure(policy, {"old": 1})
    with model.lease(label="old") as (version, _):
        assert version == 1
    with pytest.raises(ServingError, match="Unrecognized"), model.lease(label="new"):
        pass


@pytest.mark.parametrize("allow_unavailable", [False, True])
def test_a_label_may_be_assigned_to_a_version_that_is_loaded(allow_unavailable, tmp_path):
    def may(labels):
        try:
            model.check_labels(labels, allow_unavailable)
        except ServingError as error:
            assert error.code == Code.FAILED_PRECONDITION  # noqa: PT017 - of each answer
            return False
        return True

    for name in "123":
        (tmp_path / name).mkdir()
    model = model_of(tmp_path)
    assert may({"stable": 3}) == allow_unavailable  # the server starts: nothing is loaded
    model.poll()
    assert may({"stable": 3})
    assert may({"stable": 3, "old": 1}) == allow_unavailable
    model.configure(latest(), {"stable": 3, "old": 1})
    assert may({"stable": 3, "old": 1}) == allow_unavailable  # as it is
    assert not may({"stable": 2, "old": 1})  # a label that is there moves only to what is loaded
    assert may({"stable": 3, "old": 3})
    model.configure(latest(2), {})
    model.poll()
    assert may({"stable": 2})


def test_a_version_that_was_unloaded_may_come_back(tmp_path):
    for name in "12":
        (tmp_path / name).mkdir()
    model = model_of(tmp_path)
    model.poll()
    (tmp_path / "3").mkdir()
    model.poll()
    model.configure(specific([2, 3]), {})
    model.poll()
    assert {v: state.name for v, state in model.states.items()} == {2: "AVAILABLE", 3: "AVAILABLE"}


def test_json_has_the_tokens_of_the_real_server():
    values = np.array([np.nan, np.inf, -np.inf, 0.1], np.float32)
    text = json.dumps(json_tensors.write_outputs({"y": values}, in_rows=True))
    assert text == '{"predictions": [NaN, Infinity, -Infinity, 0.1]}'
    document = json_tensors.parse(b'{"instances": [NaN, -Infinity, 1]}')
    inputs, in_rows = json_tensors.read_inputs(document, {"x": tf.float32})
    assert in_rows
    np.testing.assert_array_equal(inputs["x"], np.array([np.nan, -np.inf, 1.0], np.float32))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[1e39, -1e39, 1]", [np.inf, -np.inf, 1.0]),
        (b"[Inf, -Inf, 1]", [np.inf, -np.inf, 1.0]),
        (b"[123456789012345678901234567890, 18446744073709551616, 0]", [1.2345679e29, 1.8446744e19, 0.0]),
    ],
)
def test_numbers_of_json(text, expected):
    inputs, _ = json_tensors.read_inputs(json_tensors.parse(b'{"instances": ' + text + b"}"), {"x": tf.float32})
    np.testing.assert_allclose(inputs["x"], np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"instances": [1], "instances": [2]}', {"instances": [1]}),
        (b'\n {"instances": [1]} and so on', {"instances": [1]}),
        (b'{"signature_name": "Inf \\" Inf"}', {"signature_name": 'Inf " Inf'}),
        (b'{"instances": [1e400]}', None),
        (b'{"instances": [1' + b"0" * 400 + b"]}", None),
        ('{"instances": [1]}'.encode("utf-16"), None),
        (b'\xef\xbb\xbf{"instances": [1]}', None),
        (b"[" * 100_000, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_first_value_of_a_body_counts(body, expected):
    if expected is None:
        with pytest.raises(ServingError, match="JSON Parse error"):
            json_tensors.parse(body)
    else:
        assert json_tensors.parse(body) == expected


def test_it_knows_nothing_of_who_wrote_the_models():
    files = list((Path(__file__).parent / "model_server").glob("*.py"))
    assert len(files) > 5
    for file in files:
        assert not [name for name in imported_modules(file.read_text()) if name.split(".")[0] == "tfp_nvp"]
