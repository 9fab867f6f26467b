"""The client without a server of models: what is sent, how often, in what order, and what becomes of answers."""

import contextlib
import importlib
import json
import socket
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.serving import Client, InvalidRequest, NotFound, ServingError, TimedOut, Unavailable
from tfp_nvp.serving._asking import client, queries
from tfp_nvp.serving._asking.access import Access
from tfp_nvp.serving._asking.address import Address
from tfp_nvp.serving._asking.connect import connect
from tfp_nvp.serving._asking.errors import error_of
from tfp_nvp.serving._asking.transport import Transport

X = {"x": tf.TensorSpec([None, 2], tf.float32, name="x")}
LOG_PROB = {"log_prob": tf.TensorSpec([None], tf.float32, name="log_prob")}


class Fake(Transport):
    """A transport that answers log_prob = the first column, after `before(number of the call, rows)`."""

    def __init__(self, before=lambda number, rows: None):
        self.before, self.chunks, self.timeouts, self.in_flight, self.most = before, [], [], 0, 0
        self.lock, self.closed = threading.Lock(), False

    def predict(self, signature, inputs, outputs, timeout):
        with self.lock:
            number = len(self.chunks)
            self.chunks.append(inputs["x"].copy())
            self.timeouts.append(timeout)
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
        try:
            self.before(number, inputs["x"])
            return {"log_prob": inputs["x"][:, 0] + 0.0}
        finally:
            with self.lock:
                self.in_flight -= 1

    def metadata(self, timeout):
        return {"log_prob": (X, LOG_PROB), "serving_default": (X, LOG_PROB)}

    def status(self, timeout):
        self.before(0, None)
        return {1: "AVAILABLE"}

    def close(self):
        self.closed = True


class Measuring(Fake):
    """Keeps of chunks their dtypes, and the memory that is taken while they are sent."""

    def __init__(self):
        super().__init__()
        self.dtypes, self.memory = set(), 0

    def predict(self, signature, inputs, outputs, timeout):
        self.dtypes.add(inputs["x"].dtype.name)
        self.memory = max(self.memory, tracemalloc.get_traced_memory()[0])
        return {"log_prob": inputs["x"][:, 0] + 0.0}


@pytest.fixture
def connected(monkeypatch):
    """A function from a transport to a client of it."""
    with contextlib.ExitStack() as stack:

        def make(transport, **arguments):
            monkeypatch.setattr(client, "connect", lambda *_: transport)
            return stack.enter_context(Client("grpc://nowhere:1", "m", **arguments))

        yield make


def transport_to(address):
    """A client's transport, by itself."""
    parsed = Address.parse(address)
    return connect(parsed, Access(parsed), "m", None)


def rows(n):
    return np.stack([np.arange(n), np.zeros(n)], axis=-1).astype(np.float32)


class TestArguments:
    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("grpc://localhost:8500", ("grpc", "localhost:8500", "")),
            ("grpcs://[::1]:8500", ("grpcs", "[::1]:8500", "")),
            ("https://host.example:443/models/", ("https", "host.example:443", "/models")),
            ("https://host.example/models", ("https", "host.example:443", "/models")),
            ("http://[::1]", ("http", "[::1]:80", "")),
            ("http://host:", ("http", "host:80", "")),
            ("https://me:secret@host/models", ("https", "host:443", "/models")),
        ],
    )
    def test_addresses(self, address, expected):
        parsed = Address.parse(address)
        assert (parsed.scheme, parsed.host, parsed.path) == expected

    @pytest.mark.parametrize(
        "address",
        ["localhost:8500", "localhost", "grpc://localhost", "http://:8501", "ftp://h:1", "grpc://h:99999", "grpc://h:x",
         "grpc://h:0", "https://h:0", "http://", "", None, 8500, "http://[::1:8501"],
    )  # fmt: skip
    def test_what_is_no_address(self, address):
        with pytest.raises(ValueError, match=r"`address` must be like grpc://host:8500 or http://host:8501; got"):
            Client(address, "m")

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"model": ""}, ValueError, "`model` must be the name"),
            ({"model": 3}, ValueError, "`model` must be the name"),
            ({"version": 0}, ValueError, r"`version` must be in \[1, 9223372036854775807\]; got 0"),
            ({"version": 2**63}, ValueError, r"`version` must be in \[1, 9223372036854775807\]; got 92233"),
            ({"version": 1.5}, TypeError, "`version` must be an integer"),
            ({"timeout": 0.0}, ValueError, "`timeout` must be positive"),
            ({"timeout": np.inf}, ValueError, "`timeout` must be positive and finite"),
            ({"retries": -1}, ValueError, "`retries` must be at least 0"),
            ({"chunk_rows": 0}, ValueError, "`chunk_rows` must be at least 1"),
            ({"concurrency": 0}, ValueError, "`concurrency` must be at least 1"),
        ],
    )
    def test_out_of_range(self, arguments, error, message):
        with pytest.raises(error, match=message):
            Client("http://localhost:8501", **{"model": "m", **arguments})

    @pytest.mark.parametrize(
        ("address", "module", "message"),
        [
            ("http://h:1", "requests", "over REST needs the package requests: pip install '..client.' in a checkout"),
            ("grpc://h:1", "grpc", "over gRPC needs the package tensorflow-serving-api: pip install"),
            (
                "grpc://h:1",
                "tensorflow_serving.apis",
                "over gRPC needs the package tensorflow-serving-api: pip install",
            ),
        ],
    )
    def test_a_package_that_is_missing_is_named(self, address, module, message, monkeypatch):
        real = importlib.import_module

        def import_module(name, package=None):
            if name == module:
                raise ImportError(name)
            return real(name, package)

        monkeypatch.setattr(importlib, "import_module", import_module)
        with pytest.raises(ImportError, match=message):
            Client(address, "m")


class TestErrors:
    @pytest.mark.parametrize(
        ("code", "kind", "builtin"),
        [
            ("NOT_FOUND", NotFound, LookupError),
            ("INVALID_ARGUMENT", InvalidRequest, ValueError),
            ("FAILED_PRECONDITION", InvalidRequest, ValueError),
            ("OUT_OF_RANGE", InvalidRequest, ValueError),
            ("DEADLINE_EXCEEDED", TimedOut, TimeoutError),
            ("UNAVAILABLE", Unavailable, ConnectionError),
            ("INTERNAL", ServingError, RuntimeError),
            ("RESOURCE_EXHAUSTED", Unavailable, ConnectionError),
        ],
    )
    def test_codes(self, code, kind, builtin):
        error = error_of(code, "why")
        assert type(error) is kind
        assert isinstance(error, ServingError)
        assert isinstance(error, builtin)
        assert (error.code, str(error)) == (code, "why")
        assert kind("again").code != "INTERNAL"  # an error's code is its own

    @pytest.mark.parametrize("scheme", ["grpc", "http"])
    def test_nobody_listens(self, scheme):
        if scheme == "grpc":
            pytest.importorskip("tensorflow_serving.apis")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            address = f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"
            with Client(address, "m", retries=1, timeout=20.0) as asked:
                for question in (asked.status, lambda: asked.log_prob(rows(1)), lambda: asked.signatures):
                    with pytest.raises(Unavailable):
                        question()
                begin = time.monotonic()
                with pytest.raises(Unavailable):
                    asked.wait_until_available(timeout=0.5)
                assert 0.4 < time.monotonic() - begin < 5.0

    def test_what_the_server_does_not_offer(self, connected):
        asked = connected(Fake(), version="stable")
        with pytest.raises(ValueError, match=r"m version stable at grpc.* has no signature 'score'.*\['log_prob'\]"):
            asked.score(rows(1))
        with pytest.raises(ValueError, match=r"`x` must have shape \[None, 2\]; got \[1, 3\]"):
            asked.log_prob(np.zeros([1, 3]))


class TestRetries:
    def test_unavailable_is_asked_again(self, connected):
        def before(number, _):
            if number < 2:
                raise Unavailable("busy")

        fake = Fake(before)
        assert connected(fake, retries=2).log_prob(rows(3)).tolist() == [0.0, 1.0, 2.0]
        assert len(fake.chunks) == 3
        for chunk in fake.chunks:
            np.testing.assert_array_equal(chunk, rows(3))

    @pytest.mark.parametrize("retries", [0, 1, 3])
    def test_no_more_often_than_told(self, retries, connected):
        def before(*_):
            raise Unavailable("busy")

        fake = Fake(before)
        with pytest.raises(Unavailable, match="busy"):
            connected(fake, retries=retries).log_prob(rows(1))
        assert len(fake.chunks) == 1 + retries

    def test_no_longer_than_told(self, connected):
        def before(*_):
            raise Unavailable("busy")

        fake, begin = Fake(before), time.monotonic()
        with pytest.raises(Unavailable):
            connected(fake, retries=1000, timeout=0.6).log_prob(rows(1))
        assert time.monotonic() - begin < 0.7
        assert 2 <= len(fake.chunks) <= 8  # pauses grow
        assert fake.timeouts == sorted(fake.timeouts, reverse=True)  # what is left of 0.6 seconds
        assert fake.timeouts[0] <= 0.6

    @pytest.mark.parametrize("error", [TimedOut, InvalidRequest, NotFound, ServingError, RuntimeError])
    def test_other_errors_are_final(self, error, connected):
        def before(*_):
            raise error("no")

        fake = Fake(before)
        with pytest.raises(error, match="no"):
            connected(fake, retries=5).log_prob(rows(1))
        assert len(fake.chunks) == 1

    def test_waiting_for_a_server(self, connected):
        begin, states = time.monotonic(), []

        def before(*_):
            states.append(time.monotonic() - begin)
            if len(states) < 3:
                raise NotFound("not yet")

        connected(Fake(before)).wait_until_available(timeout=10.0)
        assert len(states) == 3


class TestSeeds:
    @pytest.mark.parametrize("seed", [2**32, 2**70, -1])
    def test_of_more_bits_than_a_row_has_are_refused(self, seed, connected):
        with pytest.raises(ValueError, match=r"`seed` must be in \[0, 4294967295\]; got"):
            connected(Fake()).sample(3, seed=seed)

    def test_each_is_another(self):
        seeds = [0, 1, 2**31 - 1, 2**31, 2**32 - 1]
        made = [queries._seeds(2, seed) for seed in seeds]
        assert {each.dtype for each in made} == {np.dtype(np.int32)}
        assert len({int(each[0, 0]) for each in made}) == len(seeds)


class TestClosed:
    @pytest.mark.parametrize("address", ["grpc://localhost:1", "http://localhost:1"])
    def test_whatever_is_asked_raises_one_error(self, address):
        pytest.importorskip("requests" if address.startswith("http") else "tensorflow_serving.apis")
        asked = Client(address, "m")
        asked.close()
        asked.close()
        x = np.zeros([1, 2])
        for ask in (
            asked.status,
            asked.wait_until_available,
            lambda: asked.signatures,
            lambda: asked.log_prob(x),
            lambda: asked.predict("log_prob", {"x": x}),
        ):
            with pytest.raises(ServingError, match=r"^The client of m at .*localhost:1 is closed\.$"):
                ask()

    def test_closed_in_the_middle(self, connected):
        asked = connected(Fake(lambda number, rows: asked.close() if number == 3 else None), chunk_rows=1)
        with pytest.raises(ServingError, match=r"^The client of .* is closed\.$"):
            asked.log_prob(rows(50))

    @pytest.mark.parametrize("n", [0, 1, 5000])
    def test_what_was_offered_before_is_asked_no_more(self, n, connected):
        asked = connected(Fake())
        assert asked.log_prob(rows(1)) == [0.0]
        asked.close()
        with pytest.raises(ServingError, match="is closed"):
            asked.log_prob(rows(n))


class TestChunks:
    @pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 8, 23])
    def test_sizes_and_order(self, n, connected):
        fake = Fake(lambda number, x: time.sleep(0.02 if x.size and x[0, 0] % 8 == 0 else 0.0))  # some come late
        asked = connected(fake, chunk_rows=4, concurrency=3)
        found = asked.log_prob(rows(n))
        np.testing.assert_array_equal(found, np.arange(n))
        assert (found.shape, found.dtype) == ((n,), np.float32)
        sent = sorted((chunk for chunk in fake.chunks if len(chunk)), key=lambda chunk: chunk[0, 0])
        assert [len(chunk) for chunk in sent] == [4] * (n // 4) + [n % 4] * (n % 4 > 0)

    def test_no_more_at_once_than_told(self, connected):
        fake = Fake(lambda *_: time.sleep(0.01))
        connected(fake, chunk_rows=1, concurrency=3).log_prob(rows(30))
        assert fake.most == 3

    def test_chunks_are_not_made_long_before_they_are_sent(self, connected):
        """Rows are read a few chunks ahead of the answers, not all at once."""
        first, begun = threading.Event(), []

        def before(number, x):
            begun.append(x[0, 0])
            if x[0, 0] == 0:
                first.wait(10.0)

        asked = connected(Fake(before), chunk_rows=1, concurrency=2)
        thread = threading.Thread(target=asked.log_prob, args=[rows(100)])
        thread.start()
        time.sleep(0.3)
        early = len(begun)
        first.set()
        thread.join(10.0)
        assert not thread.is_alive()
        assert early <= 4  # twice `concurrency`, while the first has no answer
        assert len(begun) == 100

    def test_memory_mapped_from_a_file(self, connected, tmp_path):
        np.save(tmp_path / "x.npy", rows(10))
        fake = Fake()
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        np.testing.assert_array_equal(connected(fake, chunk_rows=3).log_prob(mapped), np.arange(10))
        assert max(len(chunk) for chunk in fake.chunks) == 3

    @pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
    def test_an_array_of_another_dtype_is_cast_in_chunks(self, dtype, connected, tmp_path):
        n, fake = 200_000, Measuring()
        np.save(tmp_path / "x.npy", (rows(n) % 1000).astype(dtype))
        asked, mapped = connected(fake, chunk_rows=2000), np.load(tmp_path / "x.npy", mmap_mode="r")
        tracemalloc.start()
        try:
            found = asked.log_prob(mapped)
        finally:
            tracemalloc.stop()
        np.testing.assert_array_equal(found, np.arange(n) % 1000)
        assert fake.dtypes == {"float32"}
        assert fake.memory < found.nbytes + rows(n).nbytes / 4

    def test_integers_that_do_not_fit_are_refused_in_any_chunk(self, connected):
        integers = {"x": tf.TensorSpec([None, 2], tf.uint8, name="x")}
        fake = Fake()
        fake.metadata = lambda timeout: {"log_prob": (integers, LOG_PROB)}
        asked, x = connected(fake, chunk_rows=4), np.zeros([40, 2], np.int64)
        assert asked.log_prob(x).tolist() == [0.0] * 40
        assert {chunk.dtype.name for chunk in fake.chunks} == {"uint8"}
        x[30] = 256
        with pytest.raises(ValueError, match="`x` must hold integers that fit uint8; a cast would change"):
            asked.log_prob(x)

    def test_an_error_in_the_middle_ends_it(self, connected):
        def before(number, x):
            if x[0, 0] == 5.0:
                raise InvalidRequest("row 5")

        fake = Fake(before)
        asked = connected(fake, chunk_rows=1, concurrency=2)
        with pytest.raises(InvalidRequest, match="row 5"):
            asked.log_prob(rows(200))
        sent = len(fake.chunks)
        assert sent < 5 + 2 * 2 + 2
        time.sleep(0.1)
        assert len(fake.chunks) == sent  # and nothing goes on behind one's back
        assert fake.in_flight == 0
        assert asked.log_prob(rows(2)).tolist() == [0.0, 1.0]  # it still works

    def test_chunks_that_fail_together_are_all_waited_for(self, connected):
        def before(number, x):
            time.sleep(0.05 * float(x[0, 0]))
            raise InvalidRequest("no")

        fake = Fake(before)
        with pytest.raises(InvalidRequest):
            connected(fake, chunk_rows=1, concurrency=4).log_prob(rows(40))
        assert fake.in_flight == 0

    def test_several_threads(self, connected):
        asked, found = connected(Fake(lambda *_: time.sleep(0.002)), chunk_rows=2), {}
        threads = [threading.Thread(target=lambda n=n: found.update({n: asked.log_prob(rows(n))})) for n in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10.0)
        for n in range(12):
            np.testing.assert_array_equal(found[n], np.arange(n))

    def test_close_ends_the_connection(self, connected):
        fake = Fake()
        connected(fake).close()
        assert fake.closed


class Answers(ThreadingHTTPServer):
    """A server that answers a path with (status, body) and keeps what it was sent."""

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.bodies = answers, []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer()

    def answer(self):
        status, body = self.server.answers[self.path]
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def answering():
    """A function from answers to a running server."""
    with contextlib.ExitStack() as stack:

        def start(answers):
            server = stack.enter_context(Answers(answers))
            thread = threading.Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


PREDICT = "/v1/models/m:predict"


def of_shape(dtype, *sizes):
    return {"dtype": dtype, "tensor_shape": {"dim": [{"size": str(size)} for size in sizes], "unknown_rank": False}}


METADATA = {
    "model_spec": {"name": "m", "version": "1"},
    "metadata": {
        "signature_def": {
            "signature_def": {
                "log_prob": {
                    "inputs": {"x": of_shape("DT_FLOAT", -1, 2), "word": of_shape("DT_STRING", -1)},
                    "outputs": {"log_prob": of_shape("DT_FLOAT", -1)},
                },
                "encode": {
                    "inputs": {"x": of_shape("DT_FLOAT", -1, 2)},
                    "outputs": {"z": of_shape("DT_HALF", -1, 2), "log_det": of_shape("DT_DOUBLE", -1)},
                },
                "spell": {
                    "inputs": {"x": of_shape("DT_FLOAT", -1, 2)},
                    "outputs": {"word": of_shape("DT_STRING", -1, 2), "raw_bytes": of_shape("DT_STRING", -1)},
                },
                "__saved_model_init_op": {"inputs": {}, "outputs": {}},
            }
        }
    },
}


@pytest.fixture
def rest(answering):
    """A function from a status and a body of predictions to a client over REST, and what was sent."""
    pytest.importorskip("requests")
    with contextlib.ExitStack() as stack:

        def make(status, body, **arguments):
            body = body if isinstance(body, str) else json.dumps(body)
            server = answering({"/v1/models/m/metadata": (200, json.dumps(METADATA)), PREDICT: (status, body)})
            return stack.enter_context(Client(server.address, "m", **arguments)), server.bodies

        yield make


class TestRest:
    def test_a_single_output_has_no_name_and_numbers_may_be_infinite(self, rest):
        asked, bodies = rest(200, '{"outputs": [1.5, NaN, Infinity, -Infinity]}')
        x = np.array([[1.0, np.nan], [np.inf, -np.inf], [0.1, 3e38], [0.0, 1e-45]], np.float32)
        found = asked.log_prob(x, {"word": np.array(["cat", "größe", b"\xff", ""], object)})
        np.testing.assert_array_equal(found, np.array([1.5, np.nan, np.inf, -np.inf], np.float32))
        assert found.dtype == np.float32
        body = json.loads(bodies[0])
        assert body["signature_name"] == "log_prob"
        np.testing.assert_array_equal(np.array(body["inputs"]["x"], np.float32), x)
        assert body["inputs"]["word"] == [{"b64": text} for text in ("Y2F0", "Z3LDtsOfZQ==", "/w==", "")]
        for token in ("NaN", "Infinity", "-Infinity"):
            assert token in bodies[0]

    def test_several_outputs_have_names_and_dtypes(self, rest):
        asked, _ = rest(200, {"outputs": {"z": [[1, 2], [3, 4]], "log_det": [0.1, -1]}})
        z, log_det = asked.encode(np.zeros([2, 2]))
        assert (z.dtype, log_det.dtype) == (np.float16, np.float64)
        assert z.tolist() == [[1.0, 2.0], [3.0, 4.0]]
        assert log_det.tolist() == [0.1, -1.0]

    def test_strings_are_bytes(self, rest):
        outputs = {"word": [["cat", "größe"], ["", "b"]], "raw_bytes": [{"b64": "/w=="}, {"b64": ""}]}
        asked, _ = rest(200, {"outputs": outputs})
        found = asked.predict("spell", {"x": np.zeros([2, 2])})
        assert found["word"].tolist() == [[b"cat", "größe".encode()], [b"", b"b"]]
        assert found["raw_bytes"].tolist() == [b"\xff", b""]
        assert {each.dtype for each in found.values()} == {np.dtype(object)}

    def test_no_rows_need_no_request(self, rest):
        asked, bodies = rest(500, "")
        z, log_det = asked.encode(np.zeros([0, 2]))
        assert (z.shape, z.dtype, log_det.shape, log_det.dtype) == ((0, 2), np.float16, (0,), np.float64)
        assert not bodies

    def test_what_is_offered(self, rest):
        asked, _ = rest(200, "")
        assert asked.signatures == ["encode", "log_prob", "spell"]
        assert asked.conditions == {"word": ()}
        assert asked.event_shape == (2,)

    @pytest.mark.parametrize(
        ("status", "body", "kind", "message", "tries"),
        [
            (400, {"error": "Shape"}, InvalidRequest, "Shape", 1),
            (404, {"error": "no version"}, NotFound, "no version", 1),
            (503, {"error": "queue is full"}, Unavailable, "queue is full", 2),
            (502, "<html>Bad gateway</html>", Unavailable, "Bad gateway", 2),
            (504, "", TimedOut, "http://127", 1),
            (500, {"error": "bug"}, ServingError, "bug", 1),
            (403, "Forbidden by a proxy", ServingError, "Forbidden by a proxy", 1),
            (400, "[1]", InvalidRequest, "Bad Request", 1),
            (200, "<html>Welcome</html>", ServingError, "is no model server; it answers '<html>Welcome", 1),
            (200, "[]", ServingError, "is no model server", 1),
            (200, {"predictions": []}, ServingError, "is no model server", 1),
        ],
    )
    def test_answers_that_are_errors(self, status, body, kind, message, tries, rest):
        asked, bodies = rest(status, body, retries=1)
        with pytest.raises(ServingError, match=message) as raised:
            asked.encode(np.zeros([1, 2]))
        assert type(raised.value) is kind
        assert len(bodies) == tries

    @pytest.mark.parametrize(("version", "path"), [(3, "/versions/3"), ("stable", "/labels/stable"), (None, "")])
    def test_versions_and_labels(self, version, path, answering):
        pytest.importorskip("requests")
        states = {"model_version_status": [{"version": "3", "state": "AVAILABLE"}, {"version": "2", "state": "END"}]}
        server = answering({f"/in/front/v1/models/m{path}": (200, json.dumps(states))})
        with Client(f"{server.address}/in/front/", "m", version=version) as asked:
            assert asked.status() == {3: "AVAILABLE", 2: "END"}
            asked.wait_until_available(timeout=5.0)

    @pytest.mark.parametrize(
        ("model", "label", "path"),
        [
            ("people/versions/1", None, "people%2Fversions%2F1"),
            ("people#", None, "people%23"),
            ("what?:predict", None, "what%3F%3Apredict"),
            ("100%25 é", "a/b#c", "100%2525%20%C3%A9/labels/a%2Fb%23c"),
        ],
    )
    def test_names_are_quoted(self, model, label, path, answering):
        pytest.importorskip("requests")
        states = {"model_version_status": [{"version": "3", "state": "AVAILABLE"}]}
        server = answering({f"/v1/models/{path}": (200, json.dumps(states))})
        with Client(server.address, model, version=label) as asked:
            assert asked.status() == {3: "AVAILABLE"}

    def test_a_server_that_does_not_answer(self):
        pytest.importorskip("requests")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            begin = time.monotonic()
            transport = transport_to(f"http://127.0.0.1:{silent.getsockname()[1]}")
            with contextlib.closing(transport), pytest.raises(TimedOut):
                transport.status(timeout=0.3)
            assert time.monotonic() - begin < 3.0

    @pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
    def test_a_server_that_answers_byte_by_byte(self, begin):
        """Something always comes in time, in the body or in the headers, and never all of it."""
        pytest.importorskip("requests")
        done = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer():
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(begin)
                    while not done.wait(0.05):
                        connection.sendall(b" ")

            thread = threading.Thread(target=answer)
            thread.start()
            transport = transport_to(f"http://127.0.0.1:{server.getsockname()[1]}")
            start = time.monotonic()
            with contextlib.closing(transport), pytest.raises(TimedOut, match=r"no whole answer within 0\.5 s"):
                transport.status(timeout=0.5)
            assert 0.4 < time.monotonic() - start < 3.0
            done.set()
            thread.join()

    def test_a_server_that_stops_in_the_middle_of_an_answer(self):
        pytest.importorskip("requests")
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer():
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"mod\r\n')

            thread = threading.Thread(target=answer)
            thread.start()
            transport = transport_to(f"http://127.0.0.1:{server.getsockname()[1]}")
            with contextlib.closing(transport), pytest.raises(ServingError):
                transport.status(timeout=5.0)
            thread.join()
