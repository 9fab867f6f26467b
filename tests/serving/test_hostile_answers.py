"""What a wrong or hostile server answers does not harm the client: it raises `ServingError`, soon, and keeps little."""

import contextlib
import gzip
import json
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from tests.serving.test_client import METADATA, PREDICT, Answers, Fake, Handler, transport_to
from tfp_nvp.serving import Client, InvalidRequest, ServingError, TimedOut, Unavailable
from tfp_nvp.serving._asking import client, http_exchange
from tfp_nvp.serving._asking.access import Access
from tfp_nvp.serving._asking.address import Address
from tfp_nvp.serving._asking.errors import error_of

pytest.importorskip("requests")
X = np.zeros([3, 2], np.float32)


class Anything(Handler):
    """Answers (status, headers, body); keeps the paths and headers it is asked."""

    def answer(self):
        self.server.asked.append((self.path, dict(self.headers)))
        status, headers, body = self.server.answers[self.path]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)


@pytest.fixture
def answering():
    """A function from (status, headers, body) by path to a running server."""
    with contextlib.ExitStack() as stack:

        def start(answers):
            server = stack.enter_context(Answers(answers))
            server.RequestHandlerClass, server.asked = Anything, []
            thread = threading.Thread(target=server.serve_forever, args=[0.01])
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


def asked_of(answering, body, status=200, headers=None, metadata=METADATA):
    """A client of a server that gives this prediction."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    answers = {
        "/v1/models/m/metadata": (200, {}, metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()),
        PREDICT: (status, headers or {}, body),
    }
    return Client(answering(answers).address, "m", retries=0, timeout=5.0)


NESTED = b'{"outputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "body",
    [
        {"outputs": None},
        {"outputs": 1.0},
        {"outputs": []},
        {"outputs": {"log_det": [0.0, 0.0, 0.0]}},
        {"outputs": {"z": [[0.0, 0.0]], "log_det": [0.0]}},
        {"outputs": {"z": [[0.0, 0.0]] * 4, "log_det": [0.0] * 4}},
        {"outputs": {"z": [[0.0], [0.0, 0.0], [0.0]], "log_det": [0.0] * 3}},
        {"outputs": {"z": [["a", "b"]] * 3, "log_det": [0.0] * 3}},
        {"outputs": {"z": [[{}, []]] * 3, "log_det": [0.0] * 3}},
        {"outputs": {"z": {"z": 1}, "log_det": [0.0] * 3}},
        {"outputs": {"z": [[10**400, 0]] * 3, "log_det": [0.0] * 3}},
        b'{"outputs": 1' + b"0" * 10_000 + b"}",
        NESTED,
        b"\xff\xfe",
        b"",
    ],
    ids=lambda body: str(body)[:40],
)
def test_malformed_predictions(body, answering):
    with (
        asked_of(answering, body) as asked,
        pytest.raises(ServingError, match=r"is not that of a model|no model server"),
    ):
        asked.encode(X)


@pytest.mark.parametrize(
    "change",
    [
        lambda signature: signature.clear(),
        lambda signature: signature.update(inputs=[]),
        lambda signature: signature["inputs"]["x"].pop("dtype"),
        lambda signature: signature["inputs"]["x"].update(dtype="DT_NONE_SUCH"),
        lambda signature: signature["inputs"]["x"].update(tensor_shape=None),
        lambda signature: signature["inputs"]["x"].update(tensor_shape={"dim": [{"size": "many"}]}),
        lambda signature: signature["inputs"]["x"].update(tensor_shape={"dim": [{}]}),
    ],
)
def test_malformed_metadata(change, answering):
    metadata = json.loads(json.dumps(METADATA))
    change(metadata["metadata"]["signature_def"]["signature_def"]["encode"])
    with (
        asked_of(answering, {}, metadata=metadata) as asked,
        pytest.raises(ServingError, match="is not that of a model"),
    ):
        asked.encode(X)


@pytest.mark.parametrize("metadata", [b"[]", b"{}", b'{"metadata": {}}', b'{"metadata": 3}', NESTED])
def test_metadata_of_another_form(metadata, answering):
    with asked_of(answering, {}, metadata=metadata) as asked, pytest.raises(ServingError):
        asked.encode(X)


@pytest.mark.parametrize("states", [[{}], [1], 3, [{"version": "x", "state": "AVAILABLE"}], None])
def test_malformed_states(states, answering):
    body = json.dumps({"model_version_status": states}).encode()
    with Client(answering({"/v1/models/m": (200, {}, body)}).address, "m") as asked, pytest.raises(ServingError):
        asked.status()


def test_outputs_of_another_model_are_named(answering):
    metadata = json.loads(json.dumps(METADATA))
    encode = metadata["metadata"]["signature_def"]["signature_def"]["encode"]
    encode["outputs"] = {"code": encode["outputs"]["z"]}
    with (
        asked_of(answering, {"outputs": [[0.0, 0.0]] * 3}, metadata=metadata) as asked,
        pytest.raises(ServingError, match=r"there is no output 'z', but \['code'\]"),
    ):
        asked.encode(X)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
def test_redirects_are_not_followed(status, answering):
    elsewhere = answering({"/steal": (200, {}, b'{"outputs": {"z": [[0, 0]], "log_det": [0]}}')})
    location = elsewhere.address.replace("//", "//me:s3cret@") + "/steal"
    with asked_of(answering, b"", status, {"Location": location}) as asked:
        with pytest.raises(ServingError, match=rf"redirects to http://127\.0\.0\.1 \({status}\)") as raised:
            asked.encode(X)
        assert "s3cret" not in str(raised.value)
    assert not elsewhere.asked


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_compressed_answers_are_not_unpacked(encoding, answering):
    bomb = gzip.compress(b" " * 50_000_000)
    with asked_of(answering, bomb, headers={"Content-Encoding": encoding}) as asked:
        asked.encode(X[:0])  # asks for the metadata
        tracemalloc.start()
        try:
            with pytest.raises(ServingError, match="the answer is compressed"):
                asked.encode(X)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()


def test_no_compression_is_asked_for(answering):
    server = answering({"/v1/models/m": (200, {}, b'{"model_version_status": []}')})
    with Client(server.address, "m") as asked:
        assert asked.status() == {}
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


def test_an_answer_is_read_up_to_a_limit(answering, monkeypatch):
    monkeypatch.setattr(http_exchange, "LARGEST_ANSWER", 100_000)
    with asked_of(answering, b" " * 5_000_000) as asked, pytest.raises(InvalidRequest, match="Lower `chunk_rows`"):
        asked.encode(X)


@pytest.mark.parametrize("ended_by", ["timeout", "close"])
@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "])
def test_no_thread_goes_on_reading(begin, ended_by):
    """Something always comes in time, in the body or in the headers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = threading.Event()

        def answer():
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(begin)
                while True:
                    time.sleep(0.02)
                    connection.sendall(b" ")
            gone.set()

        thread = threading.Thread(target=answer)
        thread.start()
        transport = transport_to(f"http://127.0.0.1:{server.getsockname()[1]}")
        if ended_by == "close":
            threading.Timer(0.3, transport.close).start()
        with pytest.raises(TimedOut if ended_by == "timeout" else ServingError):
            transport.status(timeout=0.3 if ended_by == "timeout" else 20.0)
        assert gone.wait(10.0)  # the connection was ended
        thread.join()
        transport.close()
        end = time.monotonic() + 10.0
        while names := [each.name for each in threading.enumerate() if each.name == "tfp_nvp-request"]:
            assert time.monotonic() < end, names
            time.sleep(0.01)


def tensor(shape, dtype=tf.float32, values=(0.0,), content=b""):
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, float_val=values, tensor_content=content)
    proto.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return proto


class TestOverGrpc:
    @pytest.fixture
    def asked(self):
        """A client of a server that answers `predict` with what is put into the dict that is yielded too."""
        pytest.importorskip("tensorflow_serving.apis")
        import grpc
        from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

        class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
            def Predict(self, request, context):
                response = predict_pb2.PredictResponse()
                for name, proto in answers.items():
                    response.outputs[name].CopyFrom(proto)
                return response

            def GetModelMetadata(self, request, context):
                response = get_model_metadata_pb2.GetModelMetadataResponse()
                if answers.get("metadata") == b"":
                    return response
                if "metadata" in answers:
                    response.metadata["signature_def"].value = answers["metadata"]
                    response.metadata[
                        "signature_def"
                    ].type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
                    return response
                signatures = get_model_metadata_pb2.SignatureDefMap()
                signature = signatures.signature_def["log_prob"]
                for tensors, name, shape in ((signature.inputs, "x", [-1, 2]), (signature.outputs, "log_prob", [-1])):
                    tensors[name].dtype = tf.float32.as_datatype_enum
                    for size in shape:
                        tensors[name].tensor_shape.dim.add(size=size)
                response.metadata["signature_def"].Pack(signatures)
                return response

        answers = {}
        server = grpc.server(ThreadPoolExecutor(2))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with Client(f"grpc://127.0.0.1:{port}", "m", retries=0, timeout=10.0) as made:
            yield made, answers
        server.stop(0).wait()

    def test_a_right_answer(self, asked):
        client, answers = asked
        answers["log_prob"] = tensor([3], values=(1.0, 2.0, 3.0))
        assert client.log_prob(X).tolist() == [1.0, 2.0, 3.0]

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"other": tensor([3])},
            {"log_prob": tensor([2])},
            {"log_prob": tensor([])},
            {"log_prob": tensor([3, 1])},
            {"log_prob": tensor([2**40])},  # a few bytes, of which NumPy would make terabytes
            {"log_prob": tensor([3], tf.float64)},
            {"log_prob": tensor([3], values=(), content=b"123")},
        ],
    )
    def test_malformed_predictions(self, answer, asked):
        client, answers = asked
        answers.update(answer)
        with pytest.raises(ServingError, match="the answer is not that of a model server"):
            client.log_prob(X)

    @pytest.mark.parametrize("metadata", [b"", b"\xff\xff\xff"])
    def test_malformed_metadata(self, metadata, asked):
        client, answers = asked
        answers["metadata"] = metadata
        with pytest.raises(ServingError, match="the answer is not that of a model server"):
            client.log_prob(X)


class TestTooBusy:
    @pytest.mark.parametrize(
        ("message", "kind"),
        [
            ("Server Threadpool Exhausted", Unavailable),
            ("OOM when allocating tensor", Unavailable),
            ("Received message larger than max (9 vs. 4)", InvalidRequest),
            ("CLIENT: Sent message larger than max (9 vs. 4)", InvalidRequest),
            ("SERVER: Received message larger than max (9 vs. 4)", InvalidRequest),
        ],
    )
    def test_exhausted_resources(self, message, kind):
        error = error_of("RESOURCE_EXHAUSTED", message)
        assert type(error) is kind
        assert error.code == "RESOURCE_EXHAUSTED"
        assert ("Lower `chunk_rows`" in str(error)) == (kind is InvalidRequest)

    @pytest.mark.parametrize(
        ("status", "kind", "tries"), [(429, Unavailable, 3), (413, InvalidRequest, 1), (401, ServingError, 1)]
    )
    def test_over_rest(self, status, kind, tries, answering):
        server = answering({"/v1/models/m": (status, {}, b'{"error": "why"}')})
        with Client(server.address, "m", retries=2) as asked, pytest.raises(ServingError, match="why") as raised:
            asked.status()
        assert type(raised.value) is kind
        assert len(server.asked) == tries

    @pytest.mark.parametrize("concurrency", [1, 3])
    def test_threads_that_share_a_client_take_turns(self, concurrency, monkeypatch):
        fake = Fake(lambda *_: time.sleep(0.01))
        monkeypatch.setattr(client, "connect", lambda *_: fake)
        with Client("grpc://nowhere:1", "m", concurrency=concurrency, chunk_rows=2) as asked:
            threads = [threading.Thread(target=asked.log_prob, args=[np.zeros([n % 5, 2])]) for n in range(30)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20.0)
        assert fake.most == concurrency
        assert all(len(chunk) for chunk in fake.chunks)  # no request without rows

    def test_a_server_with_few_threads_answers_all(self, monkeypatch):
        """As the real one: it refuses what its threads do not answer at once."""

        def before(*_):
            if fake.in_flight > 2:
                raise error_of("RESOURCE_EXHAUSTED", "Server Threadpool Exhausted")
            time.sleep(0.01)

        fake = Fake(before)
        monkeypatch.setattr(client, "connect", lambda *_: fake)
        with Client("grpc://nowhere:1", "m", concurrency=4, chunk_rows=1, retries=20) as asked:
            found = asked.log_prob(np.arange(40.0).reshape(20, 2))
        np.testing.assert_array_equal(found, np.arange(0.0, 40.0, 2.0))


class TestAccess:
    def parsed(self, **arguments):
        return Access(Address.parse(arguments.pop("address", "https://host")), **arguments)

    def test_headers_are_sent_with_every_request(self, answering):
        server = answering({"/v1/models/m": (200, {}, b'{"model_version_status": []}')})
        with Client(server.address, "m", headers={"X-Key": "k", "authorization": "Bearer t"}) as asked:
            asked.status()
        sent = {name.lower(): value for name, value in server.asked[0][1].items()}
        assert (sent["x-key"], sent["authorization"]) == ("k", "Bearer t")

    def test_a_header_wins_over_files_and_addresses(self, answering, monkeypatch, tmp_path):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        server = answering({"/v1/models/m": (200, {}, b'{"model_version_status": []}')})
        address = server.address.replace("//", "//me:s3cret@")
        for headers, sent in (({"authorization": "Bearer t"}, "Bearer t"), (None, "Basic bWU6czNjcmV0")):
            with Client(address, "m", headers=headers) as asked:
                asked.status()
            assert server.asked[-1][1]["authorization"] == sent

    @pytest.mark.parametrize(
        ("headers", "error"),
        [
            ({"X": "s3cret\r\nHost: other"}, ValueError),
            ({"X": b"s3cret"}, ValueError),
            ({"X": "s3cret\u0085"}, ValueError),
            ({"a b": "s3cret"}, ValueError),
            ({"": "s3cret"}, ValueError),
            ({"key-bin": "s3cret"}, ValueError),
            ({3: "s3cret"}, ValueError),
            (["s3cret"], TypeError),
            ("s3cret", TypeError),
        ],
    )
    def test_headers_that_are_refused_are_not_shown(self, headers, error):
        with pytest.raises(error, match="`headers` must") as raised:
            self.parsed(headers=headers)
        assert "s3cret" not in str(raised.value)
        assert "s3cret" not in repr(self.parsed(headers={"X": "s3cret"}, address="https://me:s3cret@host"))

    @pytest.mark.parametrize("address", ["ftp://me:s3cret@host", "http://me:s3cret@host:x", "me:s3cret@host"])
    def test_passwords_of_wrong_addresses_are_not_shown(self, address):
        with pytest.raises(ValueError, match="`address` must be like") as raised:
            Client(address, "m")
        assert "s3cret" not in str(raised.value)

    def test_files(self, tmp_path):
        wrong = tmp_path / "wrong.pem"
        wrong.write_text("wrong")
        with pytest.raises(FileNotFoundError, match="`ca` must be a file in PEM form; there is no file"):
            self.parsed(ca=tmp_path / "none")
        with pytest.raises(ValueError, match="`ca` must be a file of certificates in PEM form"):
            self.parsed(ca=wrong)
        with pytest.raises(ValueError, match="`certificate` must be a certificate and its key"):
            self.parsed(certificate=(wrong, wrong))
        with pytest.raises(TypeError, match="`certificate` must be two files"):
            self.parsed(certificate=wrong)
        with pytest.raises(ValueError, match="`ca` needs an encrypted address"):
            self.parsed(ca=wrong, address="http://host")
